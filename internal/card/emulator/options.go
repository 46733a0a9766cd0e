package emulator

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/url"
	"strings"
	"time"

	"latchkey/internal/card/iso7816"
)

// What a card can be made as.
const (
	FamilyPIV     = "piv"     // the PIV application alone, with Yubico's extensions unless Plain
	FamilyYubiKey = "yubikey" // PIV and OpenPGP
	FamilyGIDS    = "gids"
	FamilyOpenPGP = "openpgp"
	FamilyISO7816 = "iso7816" // as a profile says
)

// Families are the names of all of them.
func Families() []string {
	return []string{FamilyPIV, FamilyYubiKey, FamilyGIDS, FamilyOpenPGP, FamilyISO7816}
}

// Options says what a new card is like. The zero value is a YubiKey with the PIV
// application, PIN 123456, PUK 12345678, three tries each and P-256 keys in 9A
// and 9E.
type Options struct {
	Family             string   // "": piv
	GUID               [16]byte // of PIV, or the identifier of a GIDS card; zero: random
	Serial             uint32   // 0: random
	Plain              bool     // a PIV card without Yubico's extensions
	Firmware           string   // of a YubiKey; "": 5.4.3
	PIN, PUK           string   // PIN of all applications
	PINTries, PUKTries int      // PUKTries: of every unlocking key that is counted
	PUKDisabled        bool     // PIV: the PUK was blocked on purpose
	Algorithm          string   // "p256" (default), "p384", "rsa2048"; OpenPGP also "ed25519"; GIDS is always RSA
	NoCardAuth         bool     // PIV: no key in 9E
	GzipCerts          bool
	History            bool
	RefusePINs         []string
	NotAfter           time.Time         // of the certificates; zero: in five years
	Issuer             *x509.Certificate // nil: self-signed
	IssuerKey          crypto.Signer
	Rand               io.Reader // nil: crypto/rand
	Now                time.Time // zero: time.Now

	AdminKey      []byte           // GIDS: 24 bytes; nil: 0102030405060708 three times
	ExternalOnly  bool             // GIDS: refuses mutual authentication
	Blank         bool             // GIDS: as it leaves the factory, for gids-tool to initialise
	AdminPIN      string           // OpenPGP: PW3; "": 12345678
	ResettingCode string           // OpenPGP; "": none is set
	KDF           bool             // OpenPGP: PINs are derived
	Profile       *iso7816.Profile // ISO 7816: nil: generic-puk
	EmptyCounts   bool             // ISO 7816: an empty VERIFY is a wrong try
	Answers       string           // OpenPGP: what it says to a wrong PIN, see OpenPGP.Answers
}

const (
	// defaultManagement is the well-known default key of YubiKeys.
	defaultManagement = "010203040506070801020304050607080102030405060708"
	defaultFirmware   = "5.4.3"
)

// complete fills in what was left open.
func (o *Options) complete() error {
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	if o.NotAfter.IsZero() {
		o.NotAfter = o.Now.AddDate(5, 0, 0)
	}
	if o.GUID == ([16]byte{}) {
		if _, err := io.ReadFull(o.Rand, o.GUID[:]); err != nil {
			return fmt.Errorf("draw GUID: %w", err)
		}
		o.GUID[6], o.GUID[8] = o.GUID[6]&0x0F|0x40, o.GUID[8]&0x3F|0x80 // RFC 9562 version 4
	}
	if o.Serial == 0 {
		n, err := rand.Int(o.Rand, big.NewInt(20_000_000))
		if err != nil {
			return fmt.Errorf("draw serial number: %w", err)
		}
		o.Serial = 10_000_000 + uint32(n.Int64())
	}
	o.Family, o.Algorithm, o.Firmware = or(o.Family, FamilyPIV), or(o.Algorithm, "p256"), or(o.Firmware, defaultFirmware)
	o.PIN, o.PUK = or(o.PIN, "123456"), or(o.PUK, "12345678")
	o.PINTries, o.PUKTries = orInt(o.PINTries, 3), orInt(o.PUKTries, 3)
	return nil
}

// NewState makes the state of a new card.
func NewState(o Options) (State, error) {
	if err := o.complete(); err != nil {
		return State{}, err
	}
	s := State{Version: stateVersion, Family: o.Family, Serial: o.Serial}
	var err error
	switch o.Family {
	case FamilyPIV, FamilyYubiKey:
		if s.YubiKey = o.Family == FamilyYubiKey || !o.Plain; s.YubiKey {
			s.Firmware = o.Firmware
		}
		if s.PIV, err = newPIV(o); err != nil {
			return State{}, err
		}
		if o.Family == FamilyYubiKey {
			s.OpenPGP, err = newOpenPGP(o)
		}
	case FamilyGIDS:
		s.GIDS, err = newGIDS(o)
	case FamilyOpenPGP:
		s.OpenPGP, err = newOpenPGP(o)
	case FamilyISO7816:
		s.ISO, err = newISO7816(o)
	default:
		err = fmt.Errorf("card family %q is not known: use %s", o.Family, strings.Join(Families(), ", "))
	}
	if err == nil {
		err = s.check()
	}
	if err != nil {
		return State{}, err
	}
	return s, nil
}

func newPIV(o Options) (*PIV, error) {
	p := &PIV{GUID: hex.EncodeToString(o.GUID[:]), PIN: o.PIN, PUK: o.PUK, PINTotal: o.PINTries, PUKTotal: o.PUKTries,
		PINTries: o.PINTries, PUKTries: o.PUKTries, PUKDisabled: o.PUKDisabled,
		GzipCerts: o.GzipCerts, History: o.History, RefusePINs: o.RefusePINs, Management: defaultManagement}
	if !validReference(p.PIN) || !validReference(p.PUK) {
		return nil, errors.New("PIN and PUK have 6 to 8 characters")
	}
	if o.PUKDisabled {
		p.PUKTries = 0
	}
	if o.Algorithm == "ed25519" {
		return nil, errors.New("algorithm ed25519: PIV cards have p256, p384 or rsa2048")
	}
	g := p.GUID
	urn := &url.URL{Scheme: "urn", Opaque: "uuid:" + strings.Join([]string{g[:8], g[8:12], g[12:16], g[16:20], g[20:]}, "-")}
	for i, slot := range []string{"9A", "9E"} {
		if slot == "9E" && o.NoCardAuth {
			continue
		}
		k, err := newKey(slot, o, o.Algorithm, i, urn)
		if err != nil {
			return nil, err
		}
		p.Keys = append(p.Keys, k)
	}
	return p, nil
}

// newKey makes a key and its certificate. That of a PIV card names the card by
// its GUID (SP 800-73-4 part 1 section 3.1.2; FIPS 201-3 section 4.2.2).
func newKey(slot string, o Options, algorithm string, index int, urn *url.URL) (Key, error) {
	private, err := generate(algorithm)
	if err != nil {
		return Key{}, fmt.Errorf("make key %s: %w", slot, err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(int64(o.Serial)*16 + int64(index)),
		Subject:   pkix.Name{CommonName: "Latchkey demonstration card " + slot, SerialNumber: fmt.Sprint(o.Serial)},
		NotBefore: o.Now.Add(-time.Hour), NotAfter: o.NotAfter, KeyUsage: x509.KeyUsageDigitalSignature}
	if urn != nil {
		template.URIs = []*url.URL{urn}
	}
	if slot == "9E" {
		template.UnknownExtKeyUsage = []asn1.ObjectIdentifier{{2, 16, 840, 1, 101, 3, 6, 8}} // id-PIV-cardAuth
	}
	issuer, signer := o.Issuer, o.IssuerKey
	if issuer == nil {
		issuer, signer = template, private
	}
	der, err := x509.CreateCertificate(o.Rand, template, issuer, private.Public(), signer)
	if err != nil {
		return Key{}, fmt.Errorf("certify key %s: %w", slot, err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return Key{}, fmt.Errorf("encode key %s: %w", slot, err)
	}
	return Key{Slot: slot, PKCS8: pkcs8, Certificate: der}, nil
}

func validReference(s string) bool { return len(s) >= 6 && len(s) <= 8 }

func or(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}

func orInt(n, fallback int) int {
	if n == 0 {
		return fallback
	}
	return n
}
