package e2e

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"latchkey/internal/card/pcsctest"
	"latchkey/internal/deliver/text"
	"latchkey/internal/deliver/text/texttest"
)

// newTextWorld is an installation that sends text messages through providers,
// to a holder with a mobile number.
func newTextWorld(t *testing.T, database string, settings ...string) *world {
	t.Helper()
	address := freeAddress(t)
	w := &world{t: t, folder: t.TempDir(), stack: pcsctest.Start(t), database: database,
		settings: append(settings, "LATCHKEYD_TEXT_CALLBACK_URL=http://"+address+"/v1/receipts")}
	w.state, w.mail = filepath.Join(w.folder, "card.json"), filepath.Join(w.folder, "mail")
	w.must("", "latchkeyd", "init")
	w.insert("--pin", "246813", "--puk", oldPUK, "--locked")
	w.enrol()
	w.giveMobile()
	w.serve(address)
	return w
}

// webhookSettings are those of the stand-in for a gateway.
func webhookSettings(g *texttest.Webhook) []string {
	o := g.Options("")
	return []string{"LATCHKEYD_WEBHOOK_URL=" + o.URL, "LATCHKEYD_WEBHOOK_SECRET=" + o.Secret}
}

func started[T texttest.Caught](t *testing.T, start func() (T, error)) T {
	t.Helper()
	c, err := start()
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

// unlockByText unlocks with the code of the text message that a provider
// caught, and gives that message.
func (w *world) unlockByText(provider texttest.Caught) texttest.Message {
	w.t.Helper()
	var got texttest.Message
	out, err := w.unlockBy(passcode, func() string {
		var err error
		if got, err = provider.Wait(w.t.Context(), func(m texttest.Message) bool { return codeIn(m.Body) != "" }); err != nil {
			w.t.Fatal(err)
		}
		return codeIn(got.Body)
	}, "--mobile", "+44 (0)7700 900-123")
	if err != nil || !strings.Contains(out, "Your smartcard is unlocked.") {
		w.t.Fatalf("unlock: %v\n%s", err, out)
	}
	if c := w.card(); c.PIN != passcode || c.PUK == oldPUK {
		w.t.Errorf("the card holds %+v", c)
	}
	if got.To != "+447700900123" {
		w.t.Errorf("sent to %q", got.To)
	}
	return got
}

func codeIn(body string) string {
	if m := regexp.MustCompile(`Code: (\d{6})$`).FindStringSubmatch(body); m != nil {
		return m[1]
	}
	return ""
}

// onRecord is a message as latchkeyd messages tells of it.
type onRecord struct{ Reference, Kind, Method, State, Reason, Provider string }

// codeMessage waits until the only code by text message is on record in a
// state, and gives it.
func (w *world) codeMessage(state string) onRecord {
	w.t.Helper()
	deadline := time.Now().Add(patience)
	var out string
	for time.Now().Before(deadline) {
		out = w.must("", "latchkeyd", "messages", "--method", "sms", "--json")
		for line := range strings.Lines(out) {
			var m onRecord
			if err := json.Unmarshal([]byte(line), &m); err != nil {
				w.t.Fatalf("%v: %s", err, line)
			}
			if m.Kind == "code" && m.State == state {
				return m
			}
		}
		time.Sleep(20 * time.Millisecond) // a command tells of now alone
	}
	w.t.Fatalf("no code is %s:\n%s", state, out)
	return onRecord{}
}

// tellsNothing makes sure that nothing that was printed or is on record tells
// number or code.
func (w *world) tellsNothing(code string) {
	w.t.Helper()
	all := w.daemon.output.String() + w.must("", "latchkeyd", "messages", "--json")
	for _, secret := range []string{"7700900123", "7700 900123", code} {
		if strings.Contains(all, secret) {
			w.t.Errorf("log or records tell %q:\n%s", secret, all)
		}
	}
}

// TestUnlockByTextMessage is the whole journey with a code through a gateway
// over HTTP; its receipts change what is on record, and forged ones do not.
func TestUnlockByTextMessage(t *testing.T) {
	databases(t, func(t *testing.T, url string) {
		gateway := started(t, func() (*texttest.Webhook, error) { return texttest.StartWebhook(nil) })
		w := newTextWorld(t, url, append(webhookSettings(gateway), "LATCHKEYD_TEXT_PROVIDERS=webhook")...)
		got := w.unlockByText(gateway)
		m := w.codeMessage("sent")
		if m.Reference != got.Reference || m.Provider != "webhook" {
			t.Errorf("%+v, sent as %+v", m, got)
		}
		forged, err := http.Post(w.service+"/v1/receipts/webhook", "application/json", bytes.NewReader([]byte(`{"type":"text.receipt","data":{"id":"`+got.ID+`","state":"failed"}}`)))
		if err != nil {
			t.Fatal(err)
		}
		_ = forged.Body.Close()
		if forged.StatusCode != http.StatusForbidden {
			t.Errorf("a forged receipt: %s", forged.Status)
		}
		w.codeMessage("sent")
		for _, state := range []text.State{text.StateDelivered, text.StateFailed, text.StateSent} {
			if err := gateway.Receipt(t.Context(), got.ID, state); err != nil {
				t.Fatal(err)
			}
			w.codeMessage("delivered")
		}
		w.contains(w.must("", "latchkeyd", "messages", "show", got.Reference), "delivered", "webhook", "pseudonym")
		w.contains(w.must("", "latchkeyd", "messages", "count"), "sms", "email", "delivered", "sent")
		// The holder is told at both addresses, and the folder has a copy.
		if _, err := gateway.Wait(t.Context(), func(m texttest.Message) bool { return strings.Contains(m.Body, "your smartcard was unlocked at") }); err != nil {
			t.Error(err)
		}
		files, err := filepath.Glob(filepath.Join(w.mail, "*.json"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%v %v", files, err)
		}
		raw, err := os.ReadFile(files[0])
		if err != nil || !strings.Contains(string(raw), `"provider": "webhook"`) {
			t.Errorf("%v %s", err, raw)
		}
		w.contains(w.must("", "latchkeyd", "audit", "export"), "code.sent", "code.delivered", `"method":"sms"`)
		w.must("", "latchkeyd", "audit", "verify")
		w.tellsNothing(codeIn(got.Body))
	})
}

// TestUnlockBySMPP sends through a message centre, whose receipts come over
// the same connection.
func TestUnlockBySMPP(t *testing.T) {
	centre := started(t, func() (*texttest.SMPP, error) { return texttest.StartSMPP(nil) })
	o := centre.Options()
	w := newTextWorld(t, "", "LATCHKEYD_TEXT_PROVIDERS=smpp", "LATCHKEYD_SMPP_TLS=false", "LATCHKEYD_SMPP_ADDRESS="+o.Address,
		"LATCHKEYD_SMPP_SYSTEM_ID="+o.SystemID, "LATCHKEYD_SMPP_PASSWORD="+o.Password, "LATCHKEYD_SMPP_SENDER=Latchkey")
	got := w.unlockByText(centre)
	w.codeMessage("sent")
	if err := centre.Receipt(t.Context(), got.ID, text.StateDelivered); err != nil {
		t.Fatal(err)
	}
	if m := w.codeMessage("delivered"); m.Provider != "smpp" {
		t.Errorf("%+v", m)
	}
	w.tellsNothing(codeIn(got.Body))
}

// TestSecondProvider: the first is down, so the second sends, in the same
// moment.
func TestSecondProvider(t *testing.T) {
	down := started(t, func() (*texttest.Notify, error) { return texttest.StartNotify(nil) })
	down.FailNext(1000, texttest.Down)
	gateway := started(t, func() (*texttest.Webhook, error) { return texttest.StartWebhook(nil) })
	o := down.Options()
	w := newTextWorld(t, "", append(webhookSettings(gateway), "LATCHKEYD_TEXT_PROVIDERS=notify,webhook", "LATCHKEYD_NOTIFY_KEY="+o.Key,
		"LATCHKEYD_NOTIFY_TEMPLATE="+o.Template, "LATCHKEYD_NOTIFY_URL="+o.BaseURL)...)
	w.unlockByText(gateway)
	if m := w.codeMessage("sent"); m.Provider != "webhook" {
		t.Errorf("%+v", m)
	}
	if n := len(down.Messages()); n != 0 {
		t.Errorf("the provider that is down took %d messages", n)
	}
}

// TestTextToNobody: a number that is not the holder's looks the same to who
// types it; nothing is sent, and the records say so.
func TestTextToNobody(t *testing.T) {
	gateway := started(t, func() (*texttest.Webhook, error) { return texttest.StartWebhook(nil) })
	w := newTextWorld(t, "", append(webhookSettings(gateway), "LATCHKEYD_TEXT_PROVIDERS=webhook")...)
	out, err := w.try("111111\n", "latchkey", "unlock", "--mobile", "07700 900124")
	w.fails(out, err, "LK-3004")
	w.contains(out, "a security code is on its way to 07700 900124")
	if m := w.codeMessage("failed"); m.Provider != "" || m.Reason == "" {
		t.Errorf("%+v", m)
	}
	if n := len(gateway.Messages()); n != 0 {
		t.Errorf("%d messages were sent", n)
	}
}
