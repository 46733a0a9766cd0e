package api

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/hpke"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
)

// ProofPurpose separates the two moments at which a card proves itself, so
// that a signature made for one is of no use for the other.
type ProofPurpose string

// The purposes of a card proof.
const (
	PurposeCardProof ProofPurpose = "card-proof" // step 0, after the start
	PurposeRelease   ProofPurpose = "release"    // inside the release transaction
)

// ProofDigest is what a card signs to prove itself: SHA-256 over a label and
// the length-prefixed fields (unlocking.md, Three kinds of proof).
func ProofDigest(p ProofPurpose, service, session string, publicKey, nonce []byte, step int) [32]byte {
	return sha256.Sum256(fields("latchkey "+string(p)+" v1",
		[]byte(service), []byte(session), publicKey, nonce, number(int64(step))))
}

// MutualNonce is R1 of a mutual authentication in a step: 16 bytes that nobody
// knew before the session began, so that what the card replies is fresh.
func MutualNonce(service, session string, nonce []byte, step int) []byte {
	sum := sha256.Sum256(fields("latchkey mutual nonce v1", []byte(service), []byte(session), nonce, number(int64(step))))
	return sum[:16]
}

// OutcomeDigest is what a card signs to make a report proven. Its slot and
// signature are not part of it.
func OutcomeDigest(service, session, cardID string, r Report) [32]byte {
	left := int64(-1) // not told
	if r.TriesLeft != nil {
		left = int64(*r.TriesLeft)
	}
	return sha256.Sum256(fields("latchkey outcome v1", []byte(service), []byte(session), []byte(cardID),
		number(int64(r.Step)), number(r.Epoch), []byte(r.Outcome), []byte(r.Holds), number(left)))
}

// ReleaseInfo is the HPKE info of an Envelope: it binds the sealed keys to
// service, session, card, epoch and step.
func ReleaseInfo(service, session, cardID string, epoch int64, step int) []byte {
	return fields("latchkey envelope info v1",
		[]byte(service), []byte(session), []byte(cardID), number(epoch), number(int64(step)))
}

// ErrEnvelope says that an envelope is not from the pinned service, not for
// this session, card and step, or damaged.
var ErrEnvelope = errors.New("the released keys are not from the expected service or not for this session")

// envelopeMessage is what the service signs: base mode HPKE says nothing of
// the sender.
func envelopeMessage(info, sealed []byte) []byte {
	return fields("latchkey envelope v1", info, sealed)
}

// SealRelease seals r to the session's public key (X25519, 32 bytes) and signs
// the result with the service's key.
func SealRelease(r Release, publicKey []byte, key ed25519.PrivateKey, service, session, cardID string, epoch int64, step int) (Envelope, error) {
	plain, err := json.Marshal(r)
	if err != nil {
		return Envelope{}, fmt.Errorf("encode release: %w", err)
	}
	pub, err := hpke.DHKEM(ecdh.X25519()).NewPublicKey(publicKey)
	if err != nil {
		return Envelope{}, fmt.Errorf("session public key: %w", err)
	}
	info := ReleaseInfo(service, session, cardID, epoch, step)
	sealed, err := hpke.Seal(pub, hpke.HKDFSHA256(), hpke.AES256GCM(), info, plain)
	if err != nil {
		return Envelope{}, fmt.Errorf("seal release: %w", err)
	}
	return Envelope{Step: step, Epoch: epoch, CardID: cardID, Sealed: sealed,
		Signature: ed25519.Sign(key, envelopeMessage(info, sealed))}, nil
}

// Open checks the envelope against the pinned service key, the session, the
// card in the reader and the step that was asked for, then opens it.
// Any mismatch is ErrEnvelope.
func (e Envelope) Open(private hpke.PrivateKey, pinned ed25519.PublicKey, service, session, cardID string, step int) (Release, error) {
	if e.Step != step || e.CardID != cardID || len(pinned) != ed25519.PublicKeySize {
		return Release{}, ErrEnvelope
	}
	info := ReleaseInfo(service, session, cardID, e.Epoch, step)
	if !ed25519.Verify(pinned, envelopeMessage(info, e.Sealed), e.Signature) {
		return Release{}, ErrEnvelope
	}
	plain, err := hpke.Open(private, hpke.HKDFSHA256(), hpke.AES256GCM(), info, e.Sealed)
	if err != nil {
		return Release{}, ErrEnvelope
	}
	var r Release
	if err := json.Unmarshal(plain, &r); err != nil || r.Key == "" {
		return Release{}, ErrEnvelope
	}
	return r, nil
}

// fields joins a label and fields, each behind its length in four bytes, so
// that no two different lists give the same bytes.
func fields(label string, fs ...[]byte) []byte {
	var out []byte
	for _, f := range append([][]byte{[]byte(label)}, fs...) {
		out = binary.BigEndian.AppendUint32(out, uint32(len(f)))
		out = append(out, f...)
	}
	return out
}

func number(n int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }
