package daemon

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestFiguresOfTrust: a service with card authorities tells how its CRL is.
func TestFiguresOfTrust(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	now := time.Now()
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Cards"}, NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, key.Public(), key)
	must(t, err)
	ca, err = x509.ParseCertificate(der)
	must(t, err)
	crl, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: now, NextUpdate: now.Add(time.Hour)}, ca, key)
	must(t, err)
	folder := t.TempDir()
	c := fresh(t)
	c.CardAuthorities, c.CardCRL, c.CardRevocation = filepath.Join(folder, "ca.pem"), []string{filepath.Join(folder, "crl")}, "crl"
	must(t, os.WriteFile(c.CardAuthorities, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	must(t, os.WriteFile(c.CardCRL[0], crl, 0o600))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	c.MetricsListen = l.Addr().String()
	must(t, l.Close())
	r := serveFor(t, c)
	resp, err := http.Get("http://" + c.MetricsListen + "/metrics")
	must(t, err)
	raw, err := io.ReadAll(resp.Body)
	must(t, err)
	must(t, resp.Body.Close())
	for _, want := range []string{`latchkey_card_certificates_total{status="revoked"} 0`, `latchkey_crl_seconds_left{place="` + c.CardCRL[0] + `"} 3`} {
		if !strings.Contains(string(raw), want) {
			t.Errorf("no %s", want)
		}
	}
	must(t, r.end())
}
