package trust

import (
	"bytes"
	"crypto/x509"
	"errors"
	"sort"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// split takes the entries out of a CRL (DER), has crypto/x509 read the rest and
// gives both. The signature is that of the whole: entries are looked at after
// it was checked, one by one. crypto/x509 would make some 25 bytes of memory of
// each byte that anybody on the way has sent.
func split(der []byte) (*x509.RevocationList, cryptobyte.String, error) {
	malformed := errors.New("it is not a CRL of version 2 (DER)")
	in := cryptobyte.String(der)
	var outer, signed, body, part, entries cryptobyte.String
	if !in.ReadASN1(&outer, casn1.SEQUENCE) || !in.Empty() || !outer.ReadASN1Element(&signed, casn1.SEQUENCE) {
		return nil, nil, malformed
	}
	whole := signed
	if !signed.ReadASN1(&body, casn1.SEQUENCE) {
		return nil, nil, malformed
	}
	var kept []byte
	for _, tag := range []casn1.Tag{casn1.INTEGER, casn1.SEQUENCE, casn1.SEQUENCE} { // version, algorithm, issuer
		if !body.ReadASN1Element(&part, tag) {
			return nil, nil, malformed
		}
		kept = append(kept, part...)
	}
	for range 2 { // this update, next update
		var tag casn1.Tag
		if !isTime(body) || !body.ReadAnyASN1Element(&part, &tag) {
			return nil, nil, errors.New("it does not say when it was made and when the next one comes")
		}
		kept = append(kept, part...)
	}
	if body.PeekASN1Tag(casn1.SEQUENCE) && !body.ReadASN1(&entries, casn1.SEQUENCE) {
		return nil, nil, malformed
	}
	b := cryptobyte.NewBuilder(nil)
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddBytes(kept)
			b.AddBytes(body)
		})
		b.AddBytes(outer)
	})
	rest, err := b.Bytes()
	if err != nil {
		return nil, nil, err
	}
	crl, err := x509.ParseRevocationList(rest)
	if err != nil {
		return nil, nil, err
	}
	if len(crl.RevokedCertificateEntries) != 0 {
		return nil, nil, malformed
	}
	crl.RawTBSRevocationList = whole
	return crl, entries, nil
}

func isTime(s cryptobyte.String) bool {
	return s.PeekASN1Tag(casn1.UTCTime) || s.PeekASN1Tag(casn1.GeneralizedTime)
}

// rows are the entries of a list, sorted by serial number.
type rows []byte

func (r rows) Len() int         { return len(r) / rowSize }
func (r rows) row(i int) []byte { return r[i*rowSize : (i+1)*rowSize] }
func (r rows) Less(i, j int) bool {
	return bytes.Compare(r.row(i)[:serialSize], r.row(j)[:serialSize]) < 0
}
func (r rows) Swap(i, j int) {
	var t [rowSize]byte
	copy(t[:], r.row(i))
	copy(r.row(i), r.row(j))
	copy(r.row(j), t[:])
}

// rowsOf reads revokedCertificates (RFC 5280 section 5.1.2.6).
func rowsOf(in cryptobyte.String) (rows, error) {
	var out rows
	for !in.Empty() {
		var entry cryptobyte.String
		var serial []byte
		if !in.ReadASN1(&entry, casn1.SEQUENCE) || !entry.ReadASN1Integer(&serial) || len(serial) > serialSize {
			return nil, errors.New("it has a serial number that is malformed, negative or too long")
		}
		var skipped cryptobyte.String
		var tag casn1.Tag
		if !isTime(entry) || !entry.ReadAnyASN1(&skipped, &tag) {
			return nil, errors.New("an entry has no time")
		}
		reason, err := reasonOf(entry)
		if err != nil {
			return nil, err
		}
		var row [rowSize]byte
		copy(row[serialSize-len(serial):], serial)
		row[serialSize] = reason
		out = append(out, row[:]...)
	}
	sort.Sort(out)
	return out, nil
}

// reasonOf reads the extensions of an entry (section 5.3): the reason, and
// nothing else that is critical.
func reasonOf(in cryptobyte.String) (byte, error) {
	malformed := errors.New("an entry's extensions are malformed")
	if in.Empty() {
		return 0, nil
	}
	var all cryptobyte.String
	if !in.ReadASN1(&all, casn1.SEQUENCE) || !in.Empty() {
		return 0, malformed
	}
	reason := 0
	for !all.Empty() {
		var one, id, value cryptobyte.String
		critical := false
		if !all.ReadASN1(&one, casn1.SEQUENCE) || !one.ReadASN1(&id, casn1.OBJECT_IDENTIFIER) ||
			one.PeekASN1Tag(casn1.BOOLEAN) && !one.ReadASN1Boolean(&critical) ||
			!one.ReadASN1(&value, casn1.OCTET_STRING) || !one.Empty() {
			return 0, malformed
		}
		switch {
		case bytes.Equal(id, []byte{0x55, 0x1d, 0x15}): // 2.5.29.21, reasonCode
			if !value.ReadASN1Enum(&reason) || reason < 0 || reason > 10 {
				return 0, malformed
			}
		case critical:
			return 0, errors.New("an entry has a critical extension that is not known")
		}
	}
	return byte(reason), nil
}
