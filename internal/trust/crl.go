package trust

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"sort"
	"time"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// serialSize is the longest serial number in bytes (RFC 5280 section 4.1.2.2).
const serialSize = 20

// onHold is the reason certificateHold (RFC 5280 section 5.3.1), the one that
// can be taken back.
const onHold = 6

// list is a CRL, kept small: of each entry the serial number and the reason.
type list struct {
	issuer                 issuerID
	thisUpdate, nextUpdate time.Time
	scope                  scope
	rows                   rows
}

// rowSize is what is kept of an entry: its serial number, big-endian, and the
// reason.
const rowSize = serialSize + 1

// parseList reads a CRL (DER or PEM) and makes sure that an authority has
// signed it and that all of it is understood (RFC 5280 sections 5.2 and 5.3).
func parseList(raw []byte, a authorities) (*list, error) {
	if block, _ := pem.Decode(raw); block != nil {
		if block.Type != "X509 CRL" {
			return nil, fmt.Errorf("it is a PEM block %q", block.Type)
		}
		raw = block.Bytes
	}
	crl, entries, err := split(raw)
	if err != nil {
		return nil, err
	}
	l := &list{thisUpdate: crl.ThisUpdate, nextUpdate: crl.NextUpdate}
	if weak(crl.SignatureAlgorithm) {
		return nil, fmt.Errorf("its signature, %v, is too weak", crl.SignatureAlgorithm)
	}
	if l.issuer, err = signer(crl, a); err != nil {
		return nil, err
	}
	if l.scope, err = scopeOf(crl); err != nil {
		return nil, err
	}
	if l.rows, err = rowsOf(entries); err != nil {
		return nil, err
	}
	return l, nil
}

func signer(crl *x509.RevocationList, a authorities) (issuerID, error) {
	candidates := a.named(crl.RawIssuer)
	if len(candidates) == 0 {
		return issuerID{}, errors.New("it comes from none of the card authorities")
	}
	var err error
	for _, c := range candidates {
		if err = crl.CheckSignatureFrom(c); err == nil {
			return idOf(c), nil
		}
	}
	return issuerID{}, fmt.Errorf("its signature: %w", err)
}

// find gives the reason for which a certificate is on the list.
func (l *list) find(cert *x509.Certificate) (reason byte, found bool) {
	if cert.SerialNumber.Sign() < 0 || cert.SerialNumber.BitLen() > serialSize*8 {
		return 0, false
	}
	want := cert.SerialNumber.FillBytes(make([]byte, serialSize))
	n := l.rows.Len()
	i := sort.Search(n, func(i int) bool { return bytes.Compare(l.rows.row(i)[:serialSize], want) >= 0 })
	if i == n || !bytes.Equal(l.rows.row(i)[:serialSize], want) {
		return 0, false
	}
	return l.rows.row(i)[serialSize], true
}

// fresh says whether the list is of its time.
func (l *list) fresh(now time.Time) bool {
	return !now.Add(Skew).Before(l.thisUpdate) && now.Before(l.nextUpdate.Add(Skew))
}

// standing is what a list says of a certificate of its issuer. Who is on a list
// that is too old is still revoked, unless it was on hold.
func (l *list) standing(cert *x509.Certificate, now time.Time) Verdict {
	fresh := l.fresh(now)
	reason, found := l.find(cert)
	switch {
	case found && (fresh || reason != onHold):
		return Verdict{Status: Revoked, Why: fmt.Sprintf("on the CRL of %s, reason %s", l.thisUpdate.UTC().Format(time.RFC3339), reasonName(int(reason)))}
	case !l.scope.covers(cert):
		return Verdict{Status: Unknown, Why: "the CRL is for other certificates"}
	case !fresh:
		return Verdict{Status: Unknown, Why: "the CRL was good until " + l.nextUpdate.UTC().Format(time.RFC3339)}
	}
	return Verdict{Status: Good}
}

// reasonName is a reason in the words of RFC 5280 section 5.3.1.
func reasonName(n int) string {
	names := []string{"unspecified", "keyCompromise", "cACompromise", "affiliationChanged", "superseded", "cessationOfOperation",
		"certificateHold", "7", "removeFromCRL", "privilegeWithdrawn", "aACompromise"}
	if n < 0 || n >= len(names) {
		return fmt.Sprint(n)
	}
	return names[n]
}

// scope is which certificates a list is for: its issuing distribution point
// (RFC 5280 section 5.2.5).
type scope struct {
	uris                []string // empty: wherever the certificate points
	onlyUser, onlyAuths bool
}

// covers says whether a certificate of the list's issuer is in its scope. A
// list that is one of several parts says nothing of certificates that do not
// point to it (section 6.3.3 (b) (2) (i)).
func (s scope) covers(cert *x509.Certificate) bool {
	if s.onlyUser && cert.IsCA || s.onlyAuths && !cert.IsCA {
		return false
	}
	return len(s.uris) == 0 || slices.ContainsFunc(s.uris, func(u string) bool { return slices.Contains(cert.CRLDistributionPoints, u) })
}

// scopeOf reads the scope of a CRL and refuses what is not understood.
func scopeOf(crl *x509.RevocationList) (scope, error) {
	var s scope
	for _, x := range crl.Extensions {
		switch {
		case x.Id.Equal(oidDeltaCRL()):
			return s, errors.New("it is a delta CRL, which is not supported")
		case x.Id.Equal(oidIssuingDistributionPoint()):
			var err error
			if s, err = parseScope(x.Value); err != nil {
				return s, err
			}
		case x.Id.Equal(oidAuthorityKeyID()) || x.Id.Equal(oidCRLNumber()):
		case x.Critical:
			return s, fmt.Errorf("it has the critical extension %v", x.Id)
		}
	}
	return s, nil
}

// parseScope reads an IssuingDistributionPoint.
func parseScope(der []byte) (scope, error) {
	var s scope
	malformed := errors.New("its issuing distribution point is malformed")
	in := cryptobyte.String(der)
	var point cryptobyte.String
	if !in.ReadASN1(&in, casn1.SEQUENCE) || len(der) == 0 {
		return s, malformed
	}
	var present bool
	if !in.ReadOptionalASN1(&point, &present, casn1.Tag(0).Constructed().ContextSpecific()) {
		return s, malformed
	}
	if present {
		var err error
		if s.uris, err = parsePoint(point); err != nil {
			return s, err
		}
	}
	for !in.Empty() {
		var value cryptobyte.String
		var tag casn1.Tag
		if !in.ReadAnyASN1(&value, &tag) {
			return s, malformed
		}
		set := len(value) == 1 && value[0] != 0
		switch tag {
		case casn1.Tag(1).ContextSpecific():
			s.onlyUser = set
		case casn1.Tag(2).ContextSpecific():
			s.onlyAuths = set
		default: // some reasons, indirect, attribute certificates: FALSE is not written (DER)
			return s, errors.New("it is an indirect CRL, one of some reasons or one of attribute certificates, which are not supported")
		}
	}
	return s, nil
}

// parsePoint reads the URIs of a DistributionPointName.
func parsePoint(in cryptobyte.String) ([]string, error) {
	var names cryptobyte.String
	if !in.ReadASN1(&names, casn1.Tag(0).Constructed().ContextSpecific()) || !in.Empty() {
		return nil, errors.New("its distribution point has no full name")
	}
	var uris []string
	for !names.Empty() {
		var value cryptobyte.String
		var tag casn1.Tag
		if !names.ReadAnyASN1(&value, &tag) {
			return nil, errors.New("its distribution point is malformed")
		}
		if tag == casn1.Tag(6).ContextSpecific() {
			uris = append(uris, string(value))
		}
	}
	if len(uris) == 0 {
		return nil, errors.New("its distribution point has no URI")
	}
	return uris, nil
}
