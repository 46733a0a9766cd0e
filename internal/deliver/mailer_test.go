package deliver

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	netmail "net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-smtp"

	"latchkey/internal/problem"
)

// parsed is a message as a reader's program sees it.
type parsed struct {
	header     netmail.Header
	text, html string
}

// parse reads a message the strict way (RFC 5322, RFC 2046): lines end with
// CRLF and are no longer than 998 bytes, there is a text and an HTML part.
func parse(t testing.TB, raw []byte) parsed {
	t.Helper()
	for line := range bytes.Lines(raw) {
		if !bytes.HasSuffix(line, []byte("\r\n")) || len(line) > 1000 || bytes.Count(line, []byte("\r")) != 1 {
			t.Errorf("a line is not as RFC 5322 has it: %q", line)
		}
	}
	m, err := netmail.ReadMessage(bytes.NewReader(raw))
	must(t, err)
	kind, parameters, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	must(t, err)
	if kind != "multipart/alternative" || m.Header.Get("Mime-Version") != "1.0" {
		t.Errorf("headers %v", m.Header)
	}
	p := parsed{header: m.Header}
	parts := multipart.NewReader(m.Body, parameters["boundary"])
	for _, want := range []struct {
		kind string
		to   *string
	}{{"text/plain", &p.text}, {"text/html", &p.html}} { // the plainest first (RFC 2046 section 5.1.4)
		part, err := parts.NextRawPart()
		must(t, err)
		if kind, parameters, err := mime.ParseMediaType(part.Header.Get("Content-Type")); err != nil || kind != want.kind || !strings.EqualFold(parameters["charset"], "utf-8") {
			t.Errorf("a part is %s %v, %v", kind, parameters, err)
		}
		if e := part.Header.Get("Content-Transfer-Encoding"); e != "quoted-printable" {
			t.Errorf("encoding %q", e)
		}
		body, err := io.ReadAll(quotedprintable.NewReader(part))
		must(t, err)
		*want.to = strings.ReplaceAll(string(body), "\r\n", "\n")
	}
	if _, err := parts.NextRawPart(); err != io.EOF {
		t.Errorf("another part: %v", err)
	}
	return p
}

func TestCodeOverSTARTTLS(t *testing.T) {
	p := open(t, nil)
	o := p.options()
	o.Username, o.Password = username, password
	must(t, mailer(t, o).SendCode(t.Context(), codeMail()))
	got := p.letters()
	if len(got) != 1 || !got[0].tls || got[0].user != username || got[0].from != "no-reply@example.org" || got[0].to != sam {
		t.Fatalf("%+v", got)
	}
	m := parse(t, got[0].raw)
	date, err := m.header.Date()
	must(t, err)
	if !date.Equal(asked) || !strings.HasSuffix(m.header.Get("Message-Id"), "@example.org>") {
		t.Errorf("date %s, id %s", date, m.header.Get("Message-Id"))
	}
	for name, want := range map[string]string{"Subject": "Your smartcard security code", "To": "<" + sam + ">",
		"From": `"Smartcards" <no-reply@example.org>`, "Reply-To": "<ra@example.org>", "Auto-Submitted": "auto-generated"} {
		if got := m.header[name]; len(got) != 1 || got[0] != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	for part, text := range map[string]string{"text": m.text, "HTML": m.html} {
		for _, want := range []string{"Sam Taylor", "123 456", "the computer ward-7", clock(asked), clock(asked.Add(15 * time.Minute)),
			"Never read this code out to anyone", "Registration Authority", "020 7946 0000"} {
			if !strings.Contains(text, want) {
				t.Errorf("the %s part has no %q:\n%s", part, want, text)
			}
		}
	}
	if strings.Contains(m.header.Get("Subject"), "123") {
		t.Error("the code shows on a locked screen")
	}
	for _, bad := range []string{"http:", "https:", "<script", "<img", "src="} {
		if strings.Contains(m.html, bad) {
			t.Errorf("the HTML part fetches or runs something: %q", bad)
		}
	}
}

func TestNotices(t *testing.T) {
	p := open(t, nil)
	m := mailer(t, p.options())
	for kind, want := range map[string][2]string{NoticeReleased: {"Your smartcard is being unlocked", "If this is you"},
		NoticeUnlocked: {"Your smartcard has been unlocked", "It has a new passcode"}} {
		must(t, m.SendNotice(t.Context(), NoticeMessage{To: To{Method: methodEmail, Address: sam}, Name: "Sam Taylor", Kind: kind, Workstation: "ward-7", At: asked}))
		got := p.letters()
		letter := parse(t, got[len(got)-1].raw)
		if letter.header.Get("Subject") != want[0] || !strings.Contains(letter.text, want[1]) || !strings.Contains(letter.html, want[1]) {
			t.Errorf("%s: %v\n%s\n%s", kind, letter.header, letter.text, letter.html)
		}
	}
}

func TestImplicitTLSAndPlain(t *testing.T) {
	for security, secured := range map[string]bool{SecurityTLS: true, SecurityNone: false} {
		p := open(t, func(p *post) {
			if secured {
				p.listener.Listener = tlsListener(p)
			}
		})
		o := p.options()
		o.Security = security
		must(t, mailer(t, o).SendCode(t.Context(), codeMail()))
		if got := p.letters(); len(got) != 1 || got[0].tls != secured {
			t.Errorf("%s: %+v", security, got)
		}
	}
}

// TestNeverUnsafe: where the way to the mail server is not what was asked for,
// neither password nor message leaves.
func TestNeverUnsafe(t *testing.T) {
	for name, test := range map[string]struct {
		server func(*post)
		change func(*MailerOptions)
	}{
		"no STARTTLS":                   {func(p *post) { p.server.TLSConfig = nil }, nil},
		"unknown authority":             {nil, func(o *MailerOptions) { o.CAFile = "" }},
		"another name":                  {nil, func(o *MailerOptions) { o.Host = "localhost" }},
		"wrong password":                {nil, func(o *MailerOptions) { o.Username, o.Password = username, "wrong" }},
		"TLS to a server that has none": {nil, func(o *MailerOptions) { o.Security = SecurityTLS }},
	} {
		p := open(t, test.server)
		o := p.options()
		if test.change != nil {
			test.change(&o)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		err := mailer(t, o).SendCode(ctx, codeMail())
		cancel()
		if err == nil || permanent(err) || len(p.letters()) != 0 {
			t.Errorf("%s: %v, %d letters", name, err, len(p.letters()))
		}
		if text := nameless(err) + reason(err); strings.Contains(text, "wrong") && name == "wrong password" || strings.Contains(text, sam) {
			t.Errorf("%s: the log would show %s", name, text)
		}
	}
}

// TestRefusals: 4yz passes, 5yz lasts (RFC 5321 section 4.2.1), and neither log
// nor trail shows whose address it was.
func TestRefusals(t *testing.T) {
	for _, step := range []string{"MAIL", "RCPT", "DATA"} {
		for code, lasts := range map[int]bool{421: false, 450: false, 451: false, 452: false, 550: true, 552: true, 554: true} {
			p := open(t, func(p *post) {
				p.refuse = func(at, to string) error {
					if at != step {
						return nil
					}
					return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{code / 100, 1, 1}, Message: "no " + sam + " here"}
				}
			})
			err := mailer(t, p.options()).SendCode(t.Context(), codeMail())
			if err == nil || permanent(err) != lasts {
				t.Errorf("%d at %s: %v", code, step, err)
				continue
			}
			if want := fmt.Sprintf("the mail server answered %d", code); reason(err) != want || strings.Contains(nameless(err), "sam") {
				t.Errorf("%d at %s: reason %q, log %q", code, step, reason(err), nameless(err))
			}
		}
	}
}

// over has a mailer talk to a server in memory.
func over(t testing.TB, o MailerOptions, serve func(net.Conn)) *Mailer {
	m := mailer(t, o)
	m.dial = func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go serve(theirs)
		return ours, nil
	}
	return m
}

// TestSlowMailServer: one that takes the connection and says nothing, or too
// little, is given up, and the connection with it.
func TestSlowMailServer(t *testing.T) {
	for name, test := range map[string]struct {
		greeting string
		took     time.Duration
	}{
		"silent":          {"", connectTimeout},
		"half a greeting": {"220 loc", 2 * connectTimeout}, // it is greeted all the same
		"silent after":    {"220 localhost ESMTP\r\n", connectTimeout},
		"never ending":    {"220-" + strings.Repeat("welcome\r\n220-", 50), connectTimeout},
	} {
		synctest.Test(t, func(t *testing.T) {
			closed := false
			m := over(t, MailerOptions{Host: "mail.example.org", Security: SecurityNone}, func(c net.Conn) {
				_, _ = io.WriteString(c, test.greeting)
				_, _ = io.Copy(io.Discard, c)
				closed = true
			})
			began := time.Now()
			err := m.SendCode(t.Context(), codeMail())
			if took := time.Since(began); err == nil || permanent(err) || took != test.took || reason(err) != "the mail server takes too long" {
				t.Errorf("%s: %v (%s) after %s", name, err, reason(err), took)
			}
			if synctest.Wait(); !closed {
				t.Errorf("%s: the connection stays open", name)
			}
		})
	}
}

// TestSluggishMailServer: one that answers each command just in time does not
// hold a worker of the queue for longer than the queue lets it.
func TestSluggishMailServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone := make(chan struct{})
		m := over(t, MailerOptions{Host: "mail.example.org", Security: SecurityNone}, func(c net.Conn) {
			defer close(gone)
			answer := "220 localhost ESMTP\r\n"
			for lines := bufio.NewScanner(c); ; answer = "250 ok\r\n" {
				time.Sleep(connectTimeout - time.Second) // in the bubble's time
				if _, err := io.WriteString(c, answer); err != nil || !lines.Scan() {
					return
				}
			}
		})
		began := time.Now()
		err := m.SendCode(t.Context(), codeMail())
		if took := time.Since(began); err == nil || permanent(err) || took > messageTimeout || messageTimeout >= sendTimeout || reason(err) != "the mail server takes too long" {
			t.Errorf("%v (%s) after %s", err, reason(err), took)
		}
		<-gone
	})
}

// TestServerThatHangsUp: a message that the server has taken is sent, even if
// the server is too much in a hurry to say goodbye; one that it has not is not.
func TestServerThatHangsUp(t *testing.T) {
	for after, sent := range map[string]bool{"DATA": false, ".": true, "RSET": true, "QUIT": true} {
		synctest.Test(t, func(t *testing.T) {
			m := over(t, MailerOptions{Host: "mail.example.org", Security: SecurityNone}, func(c net.Conn) { hangUp(c, after) })
			if err := m.SendCode(t.Context(), codeMail()); (err == nil) != sent {
				t.Errorf("hung up after %s: %v", after, err)
			}
		})
	}
}

// hangUp is a mail server that closes the connection when it has answered a
// command (or instead of answering RSET and QUIT).
func hangUp(c net.Conn, after string) {
	defer c.Close()
	_, _ = io.WriteString(c, "220 localhost ESMTP\r\n")
	lines, data := bufio.NewScanner(c), false
	for lines.Scan() {
		word, _, _ := strings.Cut(lines.Text(), " ")
		answer := "250 ok\r\n"
		switch {
		case data && word != ".":
			continue
		case word == "DATA":
			data, answer = true, "354 go on\r\n"
		case word == ".":
			data = false
		case (word == "RSET" || word == "QUIT") && word == after:
			return
		}
		_, _ = io.WriteString(c, answer)
		if word == after {
			return
		}
	}
}

// TestNothingIsInjected: whatever comes from outside (names, workstations,
// addresses) stays in its place and adds neither header, recipient nor markup.
func TestNothingIsInjected(t *testing.T) {
	for name, change := range map[string]func(*CodeMessage){
		"name":        func(c *CodeMessage) { c.Name = "Sam\r\nBcc: all@example.org\r\n\r\n<script>alert(1)</script>" },
		"workstation": func(c *CodeMessage) { c.Workstation = "w\r\n.\r\nMAIL FROM:<x@y>\r\n<img src=x>\u202e\u2028" },
		"dots":        func(c *CodeMessage) { c.Workstation = "\n.\n" },
		"address":     func(c *CodeMessage) { c.To.Address = "sam@example.org\r\nBcc: all@example.org" },
		"recipients":  func(c *CodeMessage) { c.To.Address = "sam@example.org>,<all@example.org" },
		"command":     func(c *CodeMessage) { c.To.Address = "sam@example.org>\r\nRCPT TO:<all@example.org" },
	} {
		p := open(t, nil)
		c := codeMail()
		change(&c)
		err := mailer(t, p.options()).SendCode(t.Context(), c)
		got := p.letters()
		if c.To.Address == sam {
			must(t, err)
		}
		for _, l := range got {
			m := parse(t, l.raw)
			if m.header.Get("Bcc") != "" || l.to != sam || strings.Contains(m.html, "<script") || strings.Contains(m.html, "<img") || strings.ContainsRune(m.text, '\u202e') {
				t.Errorf("%s: to %q, %v\n%s", name, l.to, m.header, m.html)
			}
			if !strings.Contains(m.text, "Registration Authority") {
				t.Errorf("%s: the message ends early:\n%s", name, m.text)
			}
		}
		if c.To.Address != sam && (len(got) != 0 || !permanent(err)) {
			t.Errorf("%s: sent to what is no address: %v", name, err)
		}
	}
}

// TestFolderOfMessages: one file a message, whole, as it was sent, for the
// owner's eyes.
func TestFolderOfMessages(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "mail", "out")
	for _, send := range []bool{false, true} {
		o := MailerOptions{Organisation: "St Example's", Dir: folder, Now: func() time.Time { return asked }}
		if send {
			o = open(t, nil).options()
			o.Dir = folder
		}
		m := mailer(t, o)
		must(t, m.SendCode(t.Context(), codeMail()))
		must(t, m.SendCode(t.Context(), codeMail())) // at the same moment
	}
	files, err := os.ReadDir(folder)
	must(t, err)
	if len(files) != 4 {
		t.Fatalf("%v", files)
	}
	for _, f := range files {
		info, err := f.Info()
		must(t, err)
		if info.Mode().Perm() != 0o600 || !strings.HasPrefix(f.Name(), "20260301T093000") || filepath.Ext(f.Name()) != ".eml" {
			t.Errorf("%s %s", f.Name(), info.Mode())
		}
		raw, err := os.ReadFile(filepath.Join(folder, f.Name()))
		must(t, err)
		if m := parse(t, raw); m.header.Get("To") != "<"+sam+">" || !strings.Contains(m.text, "123 456") || m.header.Get("From") == "" {
			t.Errorf("%s: %v", f.Name(), m.header)
		}
	}
}

func TestMailerRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, []byte("no certificate"), 0o600))
	for name, o := range map[string]MailerOptions{
		"sender": {From: "nobody"}, "folder": {Dir: filepath.Join(file, "x")},
		"authorities": {CAFile: file}, "no authorities": {CAFile: file + ".none"},
	} {
		if _, err := NewMailer(o); problem.CodeOf(err) != problem.ConfigInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAddressesOfTheDirectory: what the directory takes as an address is one
// here too.
func TestAddressesOfTheDirectory(t *testing.T) {
	p := open(t, func(p *post) { p.server.EnableSMTPUTF8 = true })
	for _, to := range []string{"zoe.o'brian+x@example.org", "zo\u00eb@example.org", "zoe@xn--bcher-kva.example", "#!$%&'*+-/=?^_`{|}~@example.org"} {
		c := codeMail()
		c.To.Address = to
		must(t, mailer(t, p.options()).SendCode(t.Context(), c))
		if got := p.letters(); got[len(got)-1].to != to {
			t.Errorf("%q went to %q", to, got[len(got)-1].to)
		}
	}
}
