// Package emulator is a PIV card in software: it answers the commands of
// NIST SP 800-73-4 part 2 and, if asked to be a YubiKey, Yubico's extensions,
// well enough that OpenSC, yubico-piv-tool and ykman work with it.
//
// It keeps its state in a file that is written before each answer that changed
// it, so that tearing the card out, or killing the process, leaves what a real
// card would hold. It is for demonstrations and tests: it protects nothing.
package emulator

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// State is all that the card remembers without power.
type State struct {
	GUID       string   `json:"guid"` // 16 bytes in hex
	Serial     uint32   `json:"serial"`
	YubiKey    bool     `json:"yubikey"` // metadata, serial number, version
	PIN        string   `json:"pin"`
	PUK        string   `json:"puk"`
	PINTries   int      `json:"pin_tries"`
	PUKTries   int      `json:"puk_tries"`
	PINTotal   int      `json:"pin_tries_total"`
	PUKTotal   int      `json:"puk_tries_total"`
	RefusePINs []string `json:"refuse_pins,omitempty"` // answered with 6A80
	History    bool     `json:"pin_history,omitempty"` // refuses the PIN it has
	GzipCerts  bool     `json:"gzip_certificates,omitempty"`
	Management string   `json:"management_key"` // 3DES, 24 bytes in hex
	Keys       []Key    `json:"keys"`
}

// Key is a private key on the card with its certificate.
type Key struct {
	Slot        string `json:"slot"` // "9A", "9E"
	PKCS8       []byte `json:"pkcs8"`
	Certificate []byte `json:"certificate"` // DER
}

// Options says what a new card is like. The zero value is a YubiKey with PIN
// 123456, PUK 12345678, three tries each and P-256 keys in 9A and 9E.
type Options struct {
	GUID               [16]byte // zero: random
	Serial             uint32   // 0: random
	Plain              bool     // a PIV card without Yubico's extensions
	PIN, PUK           string
	PINTries, PUKTries int
	Algorithm          string // "p256" (default), "p384", "rsa2048"
	NoCardAuth         bool   // no key in 9E
	GzipCerts          bool
	History            bool
	RefusePINs         []string
	NotAfter           time.Time         // of the certificates; zero: in five years
	Issuer             *x509.Certificate // nil: self-signed
	IssuerKey          crypto.Signer
	Rand               io.Reader // nil: crypto/rand
	Now                time.Time // zero: time.Now
}

// defaultManagement is the well-known default key of YubiKeys.
const defaultManagement = "010203040506070801020304050607080102030405060708"

// NewState makes the state of a new card.
func NewState(o Options) (State, error) {
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
			return State{}, fmt.Errorf("draw GUID: %w", err)
		}
		o.GUID[6], o.GUID[8] = o.GUID[6]&0x0F|0x40, o.GUID[8]&0x3F|0x80 // RFC 9562 version 4
	}
	if o.Serial == 0 {
		n, err := rand.Int(o.Rand, big.NewInt(20_000_000))
		if err != nil {
			return State{}, fmt.Errorf("draw serial number: %w", err)
		}
		o.Serial = 10_000_000 + uint32(n.Int64())
	}
	s := State{GUID: hex.EncodeToString(o.GUID[:]), Serial: o.Serial, YubiKey: !o.Plain,
		PIN: or(o.PIN, "123456"), PUK: or(o.PUK, "12345678"),
		PINTotal: orInt(o.PINTries, 3), PUKTotal: orInt(o.PUKTries, 3),
		GzipCerts: o.GzipCerts, History: o.History, RefusePINs: o.RefusePINs, Management: defaultManagement}
	s.PINTries, s.PUKTries = s.PINTotal, s.PUKTotal
	if !validReference(s.PIN) || !validReference(s.PUK) {
		return State{}, errors.New("PIN and PUK have 6 to 8 characters")
	}
	for _, slot := range []string{"9A", "9E"} {
		if slot == "9E" && o.NoCardAuth {
			continue
		}
		k, err := newKey(slot, o)
		if err != nil {
			return State{}, err
		}
		s.Keys = append(s.Keys, k)
	}
	return s, nil
}

// newKey makes a key and its certificate, which names the card by its GUID
// (SP 800-73-4 part 1 section 3.1.2; FIPS 201-3 section 4.2.2).
func newKey(slot string, o Options) (Key, error) {
	var private crypto.Signer
	var err error
	switch or(o.Algorithm, "p256") {
	case "p256":
		private, err = ecdsa.GenerateKey(elliptic.P256(), o.Rand)
	case "p384":
		private, err = ecdsa.GenerateKey(elliptic.P384(), o.Rand)
	case "rsa2048":
		private, err = rsa.GenerateKey(o.Rand, 2048)
	default:
		return Key{}, fmt.Errorf("algorithm %q: use p256, p384 or rsa2048", o.Algorithm)
	}
	if err != nil {
		return Key{}, fmt.Errorf("make key %s: %w", slot, err)
	}
	g := hex.EncodeToString(o.GUID[:])
	urn := &url.URL{Scheme: "urn", Opaque: "uuid:" + strings.Join([]string{g[:8], g[8:12], g[12:16], g[16:20], g[20:]}, "-")}
	template := &x509.Certificate{SerialNumber: big.NewInt(int64(o.Serial)*16 + int64(len(slot))),
		Subject:   pkix.Name{CommonName: "Latchkey demonstration card " + slot, SerialNumber: fmt.Sprint(o.Serial)},
		NotBefore: o.Now.Add(-time.Hour), NotAfter: o.NotAfter, KeyUsage: x509.KeyUsageDigitalSignature, URIs: []*url.URL{urn}}
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

// LoadState reads a state file.
func LoadState(path string) (State, error) {
	var s State
	raw, err := os.ReadFile(path)
	if err != nil {
		return s, fmt.Errorf("read card state: %w", err)
	}
	if err := json.Unmarshal(raw, &s); err != nil {
		return s, fmt.Errorf("card state %s: %w", path, err)
	}
	if guid, err := hex.DecodeString(s.GUID); err != nil || len(guid) != 16 || !validReference(s.PIN) || !validReference(s.PUK) {
		return s, fmt.Errorf("card state %s: PIN, PUK or GUID is not valid", path)
	}
	if s.PINTries < 0 || s.PUKTries < 0 {
		return s, fmt.Errorf("card state %s: a try counter is below zero", path)
	}
	return s, nil
}

// Save writes the state file whole or not at all.
func (s State) Save(path string) error {
	raw, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("encode card state: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".card-*") // mode 0600
	if err != nil {
		return fmt.Errorf("write card state: %w", err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(raw)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write card state: %w", err)
	}
	return nil
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
