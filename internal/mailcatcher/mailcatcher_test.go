package mailcatcher_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"

	"latchkey/internal/mailcatcher"
)

func start(t testing.TB) *mailcatcher.Catcher {
	t.Helper()
	c, err := mailcatcher.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func send(t testing.TB, c *mailcatcher.Catcher, text string, to ...string) error {
	t.Helper()
	client, err := smtp.Dial(c.Address().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	return client.SendMail("from@example.org", to, strings.NewReader(strings.ReplaceAll(text, "\n", "\r\n")))
}

// anyMessage fits every message.
func anyMessage(mailcatcher.Message) bool { return true }

func TestMessages(t *testing.T) {
	c := start(t)
	if !c.Address().IP.IsLoopback() {
		t.Errorf("it listens on %s", c.Address())
	}
	for name, test := range map[string]struct{ raw, subject, text, code string }{
		"plain": {"Subject: Hello\nContent-Type: text/plain\n\nYour code is 123 456.\n", "Hello", "Your code is 123 456.\n", "123456"},
		"quoted-printable": {"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: Quoted-Printable\n\n" +
			"Z=C3=BCrich =\n000 001\n", "Grüße", "Zürich 000 001\n", "000001"},
		"parts": {"Subject: Two\nContent-Type: multipart/alternative; boundary=b\n\n--b\nContent-Type: text/html\n\n<b>999 999</b>\n" +
			"--b\nContent-Type: text/plain\n\nthe text\n--b--\n", "Two", "the text", ""},
		"no text":        {"Subject: None\nContent-Type: multipart/alternative; boundary=b\n\n--b\nContent-Type: text/html\n\n<b>999 999</b>\n--b--\n", "None", "", ""},
		"longer numbers": {"Subject: Number\nContent-Type: text/plain\n\nCall 1123 4567 or 0123 456\n", "Number", "Call 1123 4567 or 0123 456\n", ""},
	} {
		if err := send(t, c, test.raw, "a@example.org", "b@example.org"); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		m, err := c.Wait(t.Context(), anyMessage)
		if err != nil || m.Subject != test.subject || m.Text != test.text || m.Code() != test.code ||
			m.From != "from@example.org" || fmt.Sprint(m.To) != "[a@example.org b@example.org]" || m.At.IsZero() {
			t.Errorf("%s: %+v, code %q, %v", name, m, m.Code(), err)
		}
		if got := strings.ReplaceAll(string(m.Raw), "\r\n", "\n"); got != test.raw {
			t.Errorf("%s: raw %q", name, got)
		}
	}
}

// TestRubbish: what cannot be read is refused for good and not kept.
func TestRubbish(t *testing.T) {
	c := start(t)
	for name, raw := range map[string]string{
		"no header":   "just text\n",
		"no type":     "Subject: Hello\n\ntext\n",
		"no boundary": "Subject: Hello\nContent-Type: multipart/alternative\n\n--b--\n",
	} {
		var refused *smtp.SMTPError
		if err := send(t, c, raw, "a@example.org"); !errors.As(err, &refused) || refused.Code != 554 {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := c.Messages(); len(got) != 0 {
		t.Errorf("kept %+v", got)
	}
}

func TestTooLarge(t *testing.T) {
	c := start(t)
	if err := send(t, c, "Subject: Large\nContent-Type: text/plain\n\n"+strings.Repeat("a line\n", 200_000), "a@example.org"); err == nil {
		t.Error("it was taken")
	}
	if len(c.Messages()) != 0 {
		t.Error("it was kept")
	}
}

// TestWait: for what comes later, among what does not fit.
func TestWait(t *testing.T) {
	c := start(t)
	got := make(chan mailcatcher.Message, 1)
	go func() {
		m, err := c.Wait(t.Context(), func(m mailcatcher.Message) bool { return m.Subject == "Wanted" })
		if err != nil {
			t.Error(err)
		}
		got <- m
	}()
	for _, subject := range []string{"Other", "Wanted", "Later"} {
		if err := send(t, c, "Subject: "+subject+"\nContent-Type: text/plain\n\n111 222\n", "a@example.org"); err != nil {
			t.Fatal(err)
		}
	}
	if m := <-got; m.Subject != "Wanted" || m.Code() != "111222" {
		t.Errorf("%+v", m)
	}
	if m, err := c.Wait(t.Context(), anyMessage); err != nil || m.Subject != "Later" {
		t.Errorf("not the newest: %+v, %v", m, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Wait(ctx, func(mailcatcher.Message) bool { return false }); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestKept: the newest 200, so that a demo that is left running does not grow.
func TestKept(t *testing.T) {
	c := start(t)
	client, err := smtp.Dial(c.Address().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for i := range 203 {
		raw := fmt.Sprintf("Subject: %d\r\nContent-Type: text/plain\r\n\r\nx\r\n", i)
		if err := client.SendMail("from@example.org", []string{"a@example.org"}, strings.NewReader(raw)); err != nil {
			t.Fatal(err)
		}
	}
	got := c.Messages()
	if len(got) != 200 || got[0].Subject != "3" || got[199].Subject != "202" {
		t.Errorf("%d messages, from %s", len(got), got[0].Subject)
	}
	got[0].Subject = "changed"
	if c.Messages()[0].Subject != "3" {
		t.Error("callers share the list")
	}
}
