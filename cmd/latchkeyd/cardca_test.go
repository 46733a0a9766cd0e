package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// cardCA FOLDER: makes an authority of cards (authorities.pem), certificates
// good.pem, revoked.pem, expired.pem and strange.pem (of another authority), a
// CRL (crl) and a file to import (cards.csv).
func cardCA(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: cardca FOLDER")
	}
	folder := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(folder, 0o700))
	write := func(name string, raw []byte) { ts.Check(os.WriteFile(filepath.Join(folder, name), raw, 0o600)) }
	pemOf := func(der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}) }
	now := time.Now()
	authority := func() (*x509.Certificate, *ecdsa.PrivateKey) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		ts.Check(err)
		template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Cards"}, NotBefore: now.AddDate(-1, 0, 0),
			NotAfter: now.AddDate(9, 0, 0), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		ts.Check(err)
		cert, err := x509.ParseCertificate(der)
		ts.Check(err)
		return cert, key
	}
	ca, key := authority()
	strange, strangeKey := authority()
	write("authorities.pem", pemOf(ca.Raw))
	cards := "family,identifier,serial,staff_number,puk,card_authentication_certificate\n"
	for i, name := range []string{"good", "revoked", "strange", "expired"} {
		template := &x509.Certificate{SerialNumber: big.NewInt(int64(i + 1)), NotBefore: now.AddDate(0, -1, 0), NotAfter: now.AddDate(1, 0, 0)}
		by, byKey := ca, key
		switch name {
		case "strange":
			by, byKey = strange, strangeKey
		case "expired":
			template.NotAfter = now.Add(-time.Hour)
		}
		der, err := x509.CreateCertificate(rand.Reader, template, by, key.Public(), byKey)
		ts.Check(err)
		write(name+".pem", pemOf(der))
		cards += fmt.Sprintf("piv,%s%d,%d,S1,73519264,%s\n", strings.Repeat("0", 31), i+1, i+1, base64.StdEncoding.EncodeToString(der))
	}
	write("cards.csv", []byte(cards))
	crl, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: now, NextUpdate: now.Add(time.Hour),
		RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: big.NewInt(2), RevocationTime: now, ReasonCode: 1}}}, ca, key)
	ts.Check(err)
	write("crl", crl)
}
