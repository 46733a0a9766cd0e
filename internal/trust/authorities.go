package trust

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"
)

// authorities are who issues cards.
type authorities struct {
	roots, intermediates *x509.CertPool
	all                  []*x509.Certificate
}

// parseAuthorities reads certificates (PEM). Those that are self-signed are the
// roots; of the others each must be an authority.
func parseAuthorities(text []byte) (authorities, error) {
	a := authorities{roots: x509.NewCertPool(), intermediates: x509.NewCertPool()}
	roots := 0
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			return a, fmt.Errorf("there is a PEM block %q among the card authorities", block.Type)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return a, fmt.Errorf("certificate %d of the card authorities: %w", len(a.all)+1, err)
		}
		if !cert.IsCA || !cert.BasicConstraintsValid {
			return a, fmt.Errorf("the certificate of %q is not an authority's", cert.Subject)
		}
		a.all = append(a.all, cert)
		if selfSigned(cert) {
			a.roots.AddCert(cert)
			roots++
		} else {
			a.intermediates.AddCert(cert)
		}
	}
	if roots == 0 {
		return a, errors.New("there is no root (self-signed certificate) among the card authorities")
	}
	return a, nil
}

func selfSigned(c *x509.Certificate) bool {
	return bytes.Equal(c.RawSubject, c.RawIssuer) && c.CheckSignatureFrom(c) == nil
}

// subjectAltName is the extension (RFC 5280 section 4.2.1.6).
func subjectAltName() asn1.ObjectIdentifier { return asn1.ObjectIdentifier{2, 5, 29, 17} }

// chains builds the chains of a certificate. Its extended key usage may be any:
// crypto/x509 knows the extension, so that a critical one, as PIV has it with
// id-PIV-cardAuth (2.16.840.1.101.3.6.8), is no obstacle. A critical subject
// alternative name of names that crypto/x509 has no use for, such as a FASC-N,
// is none either: no name is looked for here, and constraints on such names
// that an authority may have make crypto/x509 refuse the authority. Any other
// critical extension that is not known is refused (RFC 5280 section 4.2).
func (a authorities) chains(leaf *x509.Certificate, now time.Time) ([][]*x509.Certificate, error) {
	known := *leaf
	known.UnhandledCriticalExtensions = slices.DeleteFunc(slices.Clone(leaf.UnhandledCriticalExtensions), subjectAltName().Equal)
	chains, err := known.Verify(x509.VerifyOptions{Roots: a.roots, Intermediates: a.intermediates, CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	if err != nil {
		return nil, err
	}
	chains = slices.DeleteFunc(chains, func(c []*x509.Certificate) bool { return len(c) < 2 })
	if len(chains) == 0 {
		return nil, errors.New("it is an authority's own")
	}
	return chains, nil
}

// named gives the authorities of a name (DER).
func (a authorities) named(name []byte) []*x509.Certificate {
	var out []*x509.Certificate
	for _, c := range a.all {
		if bytes.Equal(c.RawSubject, name) {
			out = append(out, c)
		}
	}
	return out
}

// issuerID is an authority as lists and answers know it: name and key, which
// stay when its certificate is renewed.
type issuerID [sha256.Size]byte

func idOf(issuer *x509.Certificate) issuerID {
	name := sha256.Sum256(issuer.RawSubject)
	return sha256.Sum256(append(name[:], issuer.RawSubjectPublicKeyInfo...))
}

// weak says whether a signature's algorithm is too weak to be believed. Of
// lists and answers crypto/x509 would take SHA-1.
func weak(a x509.SignatureAlgorithm) bool {
	switch a {
	case x509.UnknownSignatureAlgorithm, x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.ECDSAWithSHA1, x509.DSAWithSHA1, x509.DSAWithSHA256:
		return true
	}
	return false
}

// Authority is one of the card authorities.
type Authority struct {
	Subject             string
	NotBefore, NotAfter time.Time
	Root                bool
}

// Authorities gives those of the file, in its order.
func (c *Checker) Authorities() []Authority {
	out := make([]Authority, 0, len(c.authorities.all))
	for _, a := range c.authorities.all {
		out = append(out, Authority{Subject: a.Subject.String(), NotBefore: a.NotBefore, NotAfter: a.NotAfter, Root: selfSigned(a)})
	}
	return out
}
