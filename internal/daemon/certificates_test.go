package daemon

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// keyPair is a certificate with its key, both as files hold them.
type keyPair struct {
	cert            *x509.Certificate
	certPEM, keyPEM []byte
}

func newPair(t testing.TB, name string) *keyPair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: time.Unix(0, 0), NotAfter: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
		IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	p := &keyPair{certPEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
	p.cert, err = x509.ParseCertificate(der)
	must(t, err)
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	p.keyPEM = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})
	return p
}

// write puts both into a folder, as of a time.
func (p *keyPair) write(t testing.TB, folder string, at time.Time) {
	t.Helper()
	put(t, filepath.Join(folder, "tls.crt"), p.certPEM, at)
	put(t, filepath.Join(folder, "tls.key"), p.keyPEM, at)
}

func put(t testing.TB, path string, raw []byte, at time.Time) {
	t.Helper()
	must(t, os.WriteFile(path, raw, 0o600))
	must(t, os.Chtimes(path, at, at))
}

// TestCertificateReload: a renewed certificate is served a second later, one
// that is half there is not, and nothing that happens to the files takes away
// the one that works.
func TestCertificateReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		folder := t.TempDir()
		first, second, third := newPair(t, "first"), newPair(t, "second"), newPair(t, "third")
		at := time.Now()
		first.write(t, folder, at)
		var log bytes.Buffer
		c, err := loadCertificates(filepath.Join(folder, "tls.crt"), filepath.Join(folder, "tls.key"), slog.New(slog.NewTextHandler(&log, nil)))
		must(t, err)
		served := func(want *keyPair, when string) {
			t.Helper()
			got, err := c.get(nil)
			must(t, err)
			if !bytes.Equal(got.Certificate[0], want.cert.Raw) {
				t.Errorf("%s: another certificate is served", when)
			}
		}
		later := func() time.Time {
			time.Sleep(lookEvery) // in the bubble's time
			return time.Now()
		}
		served(first, "at the start")

		put(t, filepath.Join(folder, "tls.crt"), second.certPEM, later())
		served(first, "the certificate without its key")
		if !strings.Contains(log.String(), "not used") {
			t.Errorf("the operator is not told: %s", &log)
		}
		log.Reset()
		later()
		served(first, "still without its key")
		if log.Len() != 0 {
			t.Errorf("the operator is told again and again: %s", &log)
		}

		put(t, filepath.Join(folder, "tls.key"), second.keyPEM, time.Now())
		served(first, "within the same second")
		later()
		served(second, "with its key")

		must(t, os.Remove(filepath.Join(folder, "tls.crt")))
		later()
		served(second, "with the files gone")
		put(t, filepath.Join(folder, "tls.crt"), []byte("rubbish"), later())
		served(second, "with rubbish instead")
		third.write(t, folder, later())
		served(third, "with a third")
		first.write(t, folder, at) // put back from a copy, times and all
		later()
		served(first, "with the first put back")
		if strings.Contains(log.String(), "PRIVATE KEY") {
			t.Error("the log has a key")
		}
	})
}

func TestNoCertificate(t *testing.T) {
	if c, err := loadCertificates("", "", nil); c != nil || err != nil {
		t.Errorf("%v, %v", c, err)
	}
}
