package card

import "context"

// Identity is how a card is known to the service.
type Identity struct {
	Family Family
	// ID is the family's unique identifier, lower-case hex without separators.
	// PIV: the 16-byte GUID of the CHUID (SP 800-73-4 part 1 section 3.1.2).
	// GIDS: the 16-byte card identifier (file cardid, DO DF20).
	// OpenPGP: manufacturer and serial number, bytes 9 to 14 of the AID.
	ID string
	// Serial is the maker's serial number as it is printed on the card, empty
	// where the card has none: decimal, but for OpenPGP cards of makers that
	// number in hexadecimal.
	Serial string
	// Model is a name for people, for example "YubiKey 5.4.3" or "PIV card".
	Model string
}

// Certificate is one certificate on a card, uncompressed.
type Certificate struct {
	// Slot names the key that it belongs to. PIV: the key reference in
	// upper-case hex ("9A", "9C", "9D", "9E"). GIDS: the file's name ("kxc00").
	// OpenPGP: "AUT".
	Slot string
	DER  []byte
}

// KeyKind names what an unlocking key is to a card.
type KeyKind string

const (
	// KeyPUK is a PUK (PIV, ISO 7816).
	KeyPUK KeyKind = "puk"
	// KeyAdminPIN is the PW3 of an OpenPGP card.
	KeyAdminPIN KeyKind = "admin-pin"
	// KeyResettingCode is the resetting code of an OpenPGP card.
	KeyResettingCode KeyKind = "resetting-code"
	// KeyAdministration is the administration key of a GIDS card. It is never
	// presented to a card: see ChallengeUnblocker.
	KeyAdministration KeyKind = "administration-key"
)

// Counter is a try counter as far as the card tells it.
type Counter struct {
	Known bool // false: the card does not say
	Left  int  // tries left; 0 = blocked
	Total int  // 0 where unknown
	// Disabled: it has no tries because a program took it out of use on
	// purpose, not because somebody tried (see DisabledError).
	Disabled bool
}

// Blocked says whether the card itself says that no try is left.
func (c Counter) Blocked() bool { return c.Known && c.Left == 0 }

// State is what the card says of its PIN and its unlocking keys. Reading it
// spends no try.
type State struct {
	PIN Counter
	// Keys are the counters of the unlocking keys that the family knows. A kind
	// that is missing, or not Known, is one that the card says nothing about.
	Keys map[KeyKind]Counter
}

// Key is the counter of one unlocking key.
func (s State) Key(kind KeyKind) Counter { return s.Keys[kind] }

// PINRules is what the card itself asks of a PIN.
type PINRules struct {
	MinLength, MaxLength int // characters; on OpenPGP and GIDS cards bytes
	DigitsOnly           bool
}

// Card is a recognised card of one family with its application selected: what
// is common to all families. How a card is unblocked differs; a family
// implements KeyUnblocker, ChallengeUnblocker or both.
//
// The methods may be called inside or outside a transaction; whoever changes
// something holds one (see Conn.Begin). PINs and keys are text as typed;
// padding is the family's business. No method prints or keeps them.
type Card interface {
	Family() Family
	// Select selects the application again, after a reset.
	Select(ctx context.Context) error
	Identity(ctx context.Context) (Identity, error)
	Certificates(ctx context.Context) ([]Certificate, error)
	State(ctx context.Context) (State, error)
	PINRules() PINRules
	// KeepAlive sends a harmless command, so that Windows does not reset an
	// idle transaction (after 5 s; call it every 2 s).
	KeepAlive(ctx context.Context) error
	// Prove signs a SHA-256 digest with a key that needs no PIN (PIV 9E).
	// ErrNotSupported where the card has no such key.
	Prove(ctx context.Context, digest [32]byte) (Proof, error)
	// ProveVerified does the same with the authentication key, which needs a
	// verified PIN (PIV 9A, the authentication key of OpenPGP).
	ProveVerified(ctx context.Context, digest [32]byte) (Proof, error)
	// Verify presents the PIN. Errors: WrongKeyError, BlockedError.
	Verify(ctx context.Context, pin string) error
	// Change changes the PIN knowing the old one.
	// Errors: WrongKeyError, BlockedError, ErrRefusedPIN.
	Change(ctx context.Context, oldPIN, newPIN string) error
}

// KeyUnblocker is a card that is unblocked by presenting a secret key to it.
// A kind of key that the family does not know gives ErrNotSupported.
type KeyUnblocker interface {
	Card
	// KeyKinds are the kinds of keys that unblock this card, the best first.
	KeyKinds() []KeyKind
	// Unblock sets a new PIN with a key. It does not verify the PIN.
	// Errors: WrongKeyError, BlockedError, DisabledError, LastTryError (of the
	// key), ErrRefusedPIN.
	Unblock(ctx context.Context, kind KeyKind, key, newPIN string) error
	// Rotate changes a key knowing it. ErrNotSupported where the key cannot
	// change itself (the resetting code: see ResettingCodeSetter).
	// Errors: as Unblock, with ErrRefusedKey.
	Rotate(ctx context.Context, kind KeyKind, key, next string) error
}

// KeyKinds are the kinds of keys that unblock a card, the best first.
func KeyKinds(c Card) []KeyKind {
	if k, ok := c.(KeyUnblocker); ok {
		return k.KeyKinds()
	}
	return []KeyKind{KeyAdministration}
}

// ResettingCodeSetter is a card whose resetting code is set with another key.
type ResettingCodeSetter interface {
	// SetResettingCode sets the resetting code with the admin PIN.
	SetResettingCode(ctx context.Context, adminPIN, next string) error
}

// ChallengeUnblocker is a card that is unblocked after challenge and response
// with its administration key, which never reaches the workstation.
//
// Both ways of authentication authorise the card: after either of them anyone
// with the card in a reader can set its PIN. So neither is done before the
// person is verified, though mutual authentication proves the card as well.
// A reset of the card, another SELECT and UnblockAuthenticated end it.
type ChallengeUnblocker interface {
	Card
	// ExternalChallenge asks the card for a challenge of 8 bytes.
	ExternalChallenge(ctx context.Context) ([]byte, error)
	// ExternalAnswer presents the answer to it. Error: WrongKeyError.
	ExternalAnswer(ctx context.Context, answer []byte) error
	// MutualChallenge gives the card a challenge of 16 bytes and brings back
	// the card's own. ErrNotSupported: use ExternalChallenge.
	MutualChallenge(ctx context.Context, r1 []byte) (r2 []byte, err error)
	// MutualAnswer presents the answer of 40 bytes and brings back the card's
	// reply, which the holder of the key checks. Error: WrongKeyError.
	MutualAnswer(ctx context.Context, answer []byte) (reply []byte, err error)
	// UnblockAuthenticated sets a new PIN. It ends the authentication.
	// Errors: ErrNotAuthenticated, ErrRefusedPIN.
	UnblockAuthenticated(ctx context.Context, newPIN string) error
	// RotateKey replaces the administration key. The new one crosses the
	// interface in clear. It comes before UnblockAuthenticated.
	// Errors: ErrNotAuthenticated, ErrRefusedKey.
	RotateKey(ctx context.Context, next []byte) error
	// EndAuthentication forgets every authentication.
	EndAuthentication(ctx context.Context) error
}

// Proof is a signature made by a key on the card.
type Proof struct {
	// Slot is the key that signed: "9E" or "9A" (PIV), "AUT" (OpenPGP), the
	// name of its certificate's file (GIDS).
	Slot string
	// Signature is over the digest: PKCS #1 v1.5 with SHA-256 for RSA, ASN.1 DER
	// for ECDSA. An Ed25519 key signs the 32 bytes of the digest as its message
	// (RFC 8032 section 5.1.6).
	Signature []byte
}
