package smpp_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/linxGnu/gosmpp/data"
	"github.com/linxGnu/gosmpp/pdu"

	"latchkey/internal/deliver/text"
	"latchkey/internal/deliver/text/smpp"
	"latchkey/internal/deliver/text/texttest"
	"latchkey/internal/problem"
)

const someone = "+447700900123"

func TestOptions(t *testing.T) {
	good := smpp.Options{Address: "smsc.example.org:2775", SystemID: "latchkey", Password: "hunter2"}
	if _, err := smpp.New(good); err != nil {
		t.Fatal(err)
	}
	broken := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(broken, []byte("none"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*smpp.Options){
		"no port":                     func(o *smpp.Options) { o.Address = "smsc.example.org" },
		"no host":                     func(o *smpp.Options) { o.Address = ":2775" },
		"no system identifier":        func(o *smpp.Options) { o.SystemID = "" },
		"a long one":                  func(o *smpp.Options) { o.SystemID = strings.Repeat("x", 16) },
		"a long password":             func(o *smpp.Options) { o.Password = "hunter2hunter2" },
		"a password beyond ASCII":     func(o *smpp.Options) { o.Password = "hunterŵ" },
		"a long sender":               func(o *smpp.Options) { o.Sender = "Latchkey RA1" },
		"a sender beyond ASCII":       func(o *smpp.Options) { o.Sender = "Ŵ" },
		"a number too long":           func(o *smpp.Options) { o.Sender = "+1234567890123456" },
		"authorities without TLS":     func(o *smpp.Options) { o.CAFile = broken },
		"a file that is not there":    func(o *smpp.Options) { o.TLS, o.CAFile = true, broken+"x" },
		"a file that holds no others": func(o *smpp.Options) { o.TLS, o.CAFile = true, broken },
	} {
		o := good
		spoil(&o)
		_, err := smpp.New(o)
		if problem.CodeOf(err) != problem.ConfigInvalid || strings.Contains(err.Error(), "hunter") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func centre(t *testing.T, conf *tls.Config) *texttest.SMPP {
	t.Helper()
	s, err := texttest.StartSMPP(conf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func client(t *testing.T, o smpp.Options) *smpp.SMPP {
	t.Helper()
	p, err := smpp.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func fault(t *testing.T, err error, kind text.Kind, code string) {
	t.Helper()
	var e *text.Error
	if !errors.As(err, &e) || e.Kind != kind || e.Code != code || e.Provider != "smpp" {
		t.Errorf("%v, want %s %s", err, kind, code)
	}
}

func TestNotLetIn(t *testing.T) {
	s := centre(t, nil)
	for code, spoil := range map[string]func(*smpp.Options){
		"ESME_RINVSYSID": func(o *smpp.Options) { o.SystemID = "somebody" },
		"ESME_RINVPASWD": func(o *smpp.Options) { o.Password = "" },
	} {
		o := s.Options()
		spoil(&o)
		_, err := client(t, o).Send(t.Context(), text.Message{To: someone, Body: "x"})
		fault(t, err, text.Refused, code)
	}
}

func TestSenders(t *testing.T) {
	s := centre(t, nil)
	o := s.Options()
	o.Sender = ""
	p := client(t, o)
	for sender, want := range map[string]string{"": "", "+447700900999": "447700900999", "447700900999": "447700900999", "60006": "60006", "Kent RA": "Kent RA"} {
		if _, err := p.Send(t.Context(), text.Message{To: someone, Body: "x", Sender: sender}); err != nil {
			t.Fatal(err)
		}
		caught := s.Messages()
		if got := caught[len(caught)-1].Sender; got != want {
			t.Errorf("from %q, want %q", got, want)
		}
	}
	_, err := p.Send(t.Context(), text.Message{To: someone, Body: "x", Sender: "Ŵ"})
	fault(t, err, text.Refused, "sender")
}

func TestPayload(t *testing.T) {
	s := centre(t, nil)
	o := s.Options()
	o.Payload = true
	p := client(t, o)
	for _, body := range []string{strings.Repeat("long € ", 60), strings.Repeat("hir ŵ ", 60), "short"} {
		sent, err := p.Send(t.Context(), text.Message{To: someone, Body: body})
		if err != nil {
			t.Fatal(err)
		}
		caught := s.Messages()
		if got := caught[len(caught)-1]; got.Body != body || got.ID != sent.ID || sent.Parts != text.Measure(body).Parts {
			t.Errorf("%+v, sent %+v", got, sent)
		}
	}
}

func TestHalfTaken(t *testing.T) {
	s := centre(t, nil)
	p := client(t, s.Options())
	s.FailLater(1, 1, texttest.Throttled)
	_, err := p.Send(t.Context(), text.Message{To: someone, Body: strings.Repeat("x", 300)})
	fault(t, err, text.Unclear, "ESME_RTHROTTLED")
}

func TestConnectsAgain(t *testing.T) {
	s := centre(t, nil)
	p := client(t, s.Options())
	took := make(chan text.Receipt, 10)
	send := func() (text.Sent, error) { return p.Send(t.Context(), text.Message{To: someone, Body: "x"}) }
	sent, err := send()
	if err != nil {
		t.Fatal(err)
	}
	p.Receipts(func(r text.Receipt) { took <- r })
	s.FailNext(1, texttest.Silent) // breaks the connection
	_, err = send()
	fault(t, err, text.Unclear, "no-answer")
	if _, err := send(); err != nil {
		t.Fatalf("after a break: %v", err)
	}
	if n := s.Binds(); n != 2 {
		t.Errorf("bound %d times", n)
	}
	if err := s.Receipt(t.Context(), sent.ID, text.StateDelivered); err != nil {
		t.Fatal(err)
	}
	if r := <-took; r.ID != sent.ID || r.State != text.StateDelivered {
		t.Errorf("%+v", r)
	}
}

func TestReceiptsThatNobodyTakes(t *testing.T) {
	s := centre(t, nil)
	p := client(t, s.Options())
	sent, err := p.Send(t.Context(), text.Message{To: someone, Body: "x"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Receipt(t.Context(), sent.ID, text.StateDelivered); err == nil || !strings.Contains(err.Error(), "ESME_RX_T_APPN") {
		t.Errorf("with nobody there: %v", err)
	}
	var mu sync.Mutex
	got := 0
	p.Receipts(func(text.Receipt) { mu.Lock(); got++; mu.Unlock() })
	if err := s.Receipt(t.Context(), sent.ID, text.StateDelivered); err != nil {
		t.Error(err)
	}
	// What is no receipt is taken and forgotten.
	mo := pdu.NewDeliverSM().(*pdu.DeliverSM)
	if err := mo.Message.SetMessageWithEncoding("STOP", data.GSM7BIT); err != nil {
		t.Fatal(err)
	}
	if status, err := s.Deliver(t.Context(), mo); err != nil || status != data.ESME_ROK {
		t.Errorf("a text message from somebody: %s, %v", status, err)
	}
	mu.Lock()
	defer mu.Unlock()
	if got != 1 {
		t.Errorf("%d receipts", got)
	}
}

func TestManyAtOnce(t *testing.T) {
	s := centre(t, nil)
	p := client(t, s.Options())
	var wait sync.WaitGroup
	for i := range 60 {
		wait.Go(func() {
			body := fmt.Sprintf("%d %s", i, strings.Repeat("x", 200*(i%2)))
			if _, err := p.Send(t.Context(), text.Message{To: fmt.Sprintf("+4477009%05d", i), Body: body}); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	for _, m := range s.Messages() {
		if want := strings.TrimLeft(strings.TrimPrefix(m.To, "+4477009"), "0"); !strings.HasPrefix(m.Body, want+" ") && want != "" {
			t.Errorf("%s got %.10q", m.To, m.Body)
		}
	}
	if n, binds := len(s.Messages()), s.Binds(); n != 60 || binds != 1 {
		t.Errorf("%d messages in %d connections", n, binds)
	}
}

func TestClosed(t *testing.T) {
	s := centre(t, nil)
	p := client(t, s.Options())
	if _, err := p.Send(t.Context(), text.Message{To: someone, Body: "x"}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(p.Close(), p.Close()); err != nil {
		t.Error(err)
	}
	_, err := p.Send(t.Context(), text.Message{To: someone, Body: "x"})
	fault(t, err, text.Away, "closed")
}

// certificate is one for 127.0.0.1, and the file that vouches for it.
func certificate(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file
}

func TestTLS(t *testing.T) {
	cert, file := certificate(t)
	s := centre(t, &tls.Config{Certificates: []tls.Certificate{cert}})
	o := s.Options()
	o.TLS, o.CAFile = true, file
	if _, err := client(t, o).Send(t.Context(), text.Message{To: someone, Body: "x"}); err != nil {
		t.Error(err)
	}
	o.CAFile = ""
	_, err := client(t, o).Send(t.Context(), text.Message{To: someone, Body: "x"})
	fault(t, err, text.Away, "unreachable")
	old := centre(t, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})
	o = old.Options()
	o.TLS, o.CAFile = true, file
	_, err = client(t, o).Send(t.Context(), text.Message{To: someone, Body: "x"})
	fault(t, err, text.Away, "unreachable")
}

// TestPlainToTLS speaks plainly to a server that wants TLS: nothing is sent.
func TestPlainToTLS(t *testing.T) {
	cert, _ := certificate(t)
	s := centre(t, &tls.Config{Certificates: []tls.Certificate{cert}})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	_, err := client(t, s.Options()).Send(ctx, text.Message{To: someone, Body: "x"})
	fault(t, err, text.Away, "no-bind")
}
