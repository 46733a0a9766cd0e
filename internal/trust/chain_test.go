package trust

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"testing"
	"time"
)

func TestChains(t *testing.T) {
	t.Parallel()
	root := newAuthority(t, "root", nil, nil)
	middle := newAuthority(t, "middle", root, nil)
	over := newAuthority(t, "old middle", root, func(c *x509.Certificate) { c.NotAfter = start.Add(-time.Hour) })
	strange := newAuthority(t, "strange root", nil, nil)
	twin := newAuthority(t, "root", nil, nil) // another key under the same name
	c, clock := newChecker(t, Options{Authorities: bundle(root, middle, over)})
	fascn := func(critical bool, id asn1.ObjectIdentifier) func(*x509.Certificate) {
		return func(x *x509.Certificate) {
			x.ExtraExtensions = append(x.ExtraExtensions, pkix.Extension{Id: id, Critical: critical, Value: []byte{0x30, 0x04, 0xa0, 0x02, 0x06, 0x00}})
		}
	}
	card := root.card(t, 1, nil)
	for name, test := range map[string]struct {
		cert *x509.Certificate
		want Status
	}{
		"of a root":            {card, Good},
		"of an intermediate":   {middle.card(t, 1, nil), Good},
		"of a strange root":    {strange.card(t, 1, nil), Untrusted},
		"of a false name":      {twin.card(t, 1, nil), Untrusted},
		"of one that is over":  {over.card(t, 1, nil), Untrusted},
		"expired":              {root.card(t, 1, func(x *x509.Certificate) { x.NotAfter = start.Add(-time.Second) }), Expired},
		"not valid yet":        {root.card(t, 1, func(x *x509.Certificate) { x.NotBefore = start.Add(time.Minute) }), Expired},
		"an authority itself":  {root.cert, Untrusted},
		"critical FASC-N":      {root.card(t, 1, fascn(true, asn1.ObjectIdentifier{2, 5, 29, 17})), Good},
		"critical and unknown": {root.card(t, 1, fascn(true, asn1.ObjectIdentifier{1, 2, 3})), Untrusted},
		"unknown":              {root.card(t, 1, fascn(false, asn1.ObjectIdentifier{1, 2, 3})), Good},
	} {
		if v := c.Check(test.cert.Raw, clock.Now()); v.Status != test.want || v.OK() != (test.want == Good) {
			t.Errorf("%s: %s (%s), want %s", name, v.Status, v.Why, test.want)
		}
	}
	if v := c.Check([]byte("certificate"), start); v.Status != Untrusted {
		t.Errorf("what is no certificate: %s", v.Status)
	}
	var refused *RefusedError
	if err := c.Check(card.Raw, card.NotAfter.Add(time.Second)).Err(); !errors.As(err, &refused) || refused.Verdict.Status != Expired {
		t.Errorf("the time that was given does not count: %v", err)
	}
	if err := c.Check(card.Raw, start).Err(); err != nil {
		t.Error(err)
	}
	if changed := append([]byte{}, card.Raw...); true {
		changed[len(changed)-1] ^= 1
		if v := c.Check(changed, start); v.Status != Untrusted {
			t.Errorf("with another signature: %s", v.Status)
		}
	}
}

func TestAuthoritiesThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	root := newAuthority(t, "root", nil, nil)
	key, err := x509.MarshalECPrivateKey(root.key)
	must(t, err)
	for name, text := range map[string][]byte{
		"nothing":        nil,
		"no PEM":         []byte("root"),
		"no root":        bundle(newAuthority(t, "middle", root, nil)),
		"a card":         append(bundle(root), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.card(t, 1, nil).Raw})...),
		"a key":          append(bundle(root), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: key})...),
		"no certificate": append(bundle(root), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte{1}})...),
	} {
		if _, err := New(Options{Authorities: text}); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
