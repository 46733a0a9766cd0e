package api

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/hpke"
	"encoding/json"
	"errors"
	"testing"

	"pgregory.net/rapid"
)

// sealed is a release on its way, with all that opens it.
type sealed struct {
	Envelope
	private hpke.PrivateKey
	signing ed25519.PrivateKey
	content Release
}

func seal(t testing.TB, r Release) sealed {
	t.Helper()
	private, err := hpke.DHKEM(ecdh.X25519()).GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	_, signing, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	e, err := SealRelease(r, private.PublicKey().Bytes(), signing, "test", "s1", "card-1", 7, 2)
	if err != nil {
		t.Fatal(err)
	}
	return sealed{e, private, signing, r}
}

func (s sealed) pinned() ed25519.PublicKey { return s.signing.Public().(ed25519.PublicKey) }

// TestOpen: what was sealed comes out for the session, service, card and step
// that it was sealed for, after a way over the wire.
func TestOpen(t *testing.T) {
	s := seal(t, Release{Action: ActionUnblock, Key: "12345678", Next: "87654321"})
	raw, err := json.Marshal(s.Envelope)
	if err != nil {
		t.Fatal(err)
	}
	var e Envelope
	if err := json.Unmarshal(raw, &e); err != nil {
		t.Fatal(err)
	}
	if got, err := e.Open(s.private, s.pinned(), "test", "s1", "card-1", 2); err != nil || got != s.content {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestOpenRefuses: any one thing that differs, by accident or by somebody's
// hand, and nothing comes out.
func TestOpenRefuses(t *testing.T) {
	s := seal(t, Release{Action: ActionUnblock, Key: "12345678"})
	other := seal(t, s.content)
	for name, open := range map[string]func(e Envelope) (Release, error){
		"another session": func(e Envelope) (Release, error) { return e.Open(s.private, s.pinned(), "test", "s2", "card-1", 2) },
		"another service": func(e Envelope) (Release, error) { return e.Open(s.private, s.pinned(), "best", "s1", "card-1", 2) },
		"another card":    func(e Envelope) (Release, error) { return e.Open(s.private, s.pinned(), "test", "s1", "card-2", 2) },
		"another step":    func(e Envelope) (Release, error) { return e.Open(s.private, s.pinned(), "test", "s1", "card-1", 1) },
		"another key":     func(e Envelope) (Release, error) { return e.Open(other.private, s.pinned(), "test", "s1", "card-1", 2) },
		"another pin":     func(e Envelope) (Release, error) { return e.Open(s.private, other.pinned(), "test", "s1", "card-1", 2) },
		"no pin":          func(e Envelope) (Release, error) { return e.Open(s.private, nil, "test", "s1", "card-1", 2) },
		"renamed card": func(e Envelope) (Release, error) {
			e.CardID = "card-2"
			return e.Open(s.private, s.pinned(), "test", "s1", "card-2", 2)
		},
		"renumbered step": func(e Envelope) (Release, error) {
			e.Step = 1
			return e.Open(s.private, s.pinned(), "test", "s1", "card-1", 1)
		},
		"another epoch": func(e Envelope) (Release, error) {
			e.Epoch++
			return e.Open(s.private, s.pinned(), "test", "s1", "card-1", 2)
		},
		"another content": func(e Envelope) (Release, error) {
			e.Sealed = other.Sealed
			return e.Open(s.private, s.pinned(), "test", "s1", "card-1", 2)
		},
		"signed by another": func(e Envelope) (Release, error) {
			info := ReleaseInfo("test", "s1", "card-1", e.Epoch, 2)
			e.Signature = ed25519.Sign(other.signing, envelopeMessage(info, e.Sealed))
			return e.Open(s.private, s.pinned(), "test", "s1", "card-1", 2)
		},
		"signed, but sealed with another info": func(e Envelope) (Release, error) {
			wrong, err := SealRelease(s.content, s.private.PublicKey().Bytes(), s.signing, "test", "s1", "card-1", e.Epoch+1, 2)
			if err != nil {
				return Release{}, err
			}
			e.Sealed = wrong.Sealed
			e.Signature = ed25519.Sign(s.signing, envelopeMessage(ReleaseInfo("test", "s1", "card-1", e.Epoch, 2), e.Sealed))
			return e.Open(s.private, s.pinned(), "test", "s1", "card-1", 2)
		},
		"empty": func(Envelope) (Release, error) {
			return Envelope{Step: 2, CardID: "card-1"}.Open(s.private, s.pinned(), "test", "s1", "card-1", 2)
		},
	} {
		if got, err := open(s.Envelope); !errors.Is(err, ErrEnvelope) || got != (Release{}) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAnyChangedByte: no byte of an envelope can be changed on the way.
func TestAnyChangedByte(t *testing.T) {
	s := seal(t, Release{Action: ActionRotate, Key: "12345678", Next: "87654321"})
	for i := range len(s.Sealed) + len(s.Signature) {
		e := s.Envelope
		e.Sealed, e.Signature = append([]byte(nil), e.Sealed...), append([]byte(nil), e.Signature...)
		if i < len(e.Sealed) {
			e.Sealed[i] ^= 1
		} else {
			e.Signature[i-len(e.Sealed)] ^= 1
		}
		if _, err := e.Open(s.private, s.pinned(), "test", "s1", "card-1", 2); !errors.Is(err, ErrEnvelope) {
			t.Errorf("byte %d: %v", i, err)
		}
	}
}

// TestReleaseWithoutAKey: an empty PUK must never reach a card, where it would
// spend a try.
func TestReleaseWithoutAKey(t *testing.T) {
	s := seal(t, Release{Action: ActionUnblock})
	if _, err := s.Open(s.private, s.pinned(), "test", "s1", "card-1", 2); !errors.Is(err, ErrEnvelope) {
		t.Error(err)
	}
}

func TestSealToNoKey(t *testing.T) {
	_, signing, _ := ed25519.GenerateKey(nil)
	for _, public := range [][]byte{nil, make([]byte, 31), make([]byte, 33)} {
		if _, err := SealRelease(Release{Key: "12345678"}, public, signing, "test", "s1", "c", 1, 1); err == nil {
			t.Errorf("%d bytes were taken", len(public))
		}
	}
}

// TestDigestsAreOfOneThing: digests of different things never agree, however
// their texts run into each other.
func TestDigestsAreOfOneThing(t *testing.T) {
	text := rapid.StringMatching(`[ab]{0,3}`)
	type what struct {
		Service, Session, Card string
		Key, Nonce             string
		Step                   int
		Epoch                  int64
		Outcome                Outcome
		Holds                  Holds
		Purpose                ProofPurpose
		Left                   int
	}
	draw := rapid.Custom(func(t *rapid.T) what {
		return what{text.Draw(t, "service"), text.Draw(t, "session"), text.Draw(t, "card"), text.Draw(t, "key"), text.Draw(t, "nonce"),
			rapid.IntRange(0, 2).Draw(t, "step"), rapid.Int64Range(0, 2).Draw(t, "epoch"),
			rapid.SampledFrom([]Outcome{OutcomeUnlocked, OutcomeRefused}).Draw(t, "outcome"),
			rapid.SampledFrom([]Holds{HoldsKey, HoldsNext}).Draw(t, "holds"),
			rapid.SampledFrom([]ProofPurpose{PurposeCardProof, PurposeRelease}).Draw(t, "purpose"),
			rapid.IntRange(-1, 1).Draw(t, "left")}
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := draw.Draw(t, "a"), draw.Draw(t, "b")
		proofs := func(w what) [32]byte {
			return ProofDigest(w.Purpose, w.Service, w.Session, []byte(w.Key), []byte(w.Nonce), w.Step)
		}
		outcomes := func(w what) [32]byte {
			r := Report{Step: w.Step, Epoch: w.Epoch, Outcome: w.Outcome, Holds: w.Holds}
			if w.Left >= 0 {
				r.TriesLeft = &w.Left
			}
			return OutcomeDigest(w.Service, w.Session, w.Card, r)
		}
		ofProof := func(w what) what { w.Card, w.Epoch, w.Outcome, w.Holds, w.Left = "", 0, "", "", 0; return w }
		ofOutcome := func(w what) what { w.Key, w.Nonce, w.Purpose = "", "", ""; return w }
		if (proofs(a) == proofs(b)) != (ofProof(a) == ofProof(b)) {
			t.Fatalf("proofs of %+v and %+v", a, b)
		}
		if (outcomes(a) == outcomes(b)) != (ofOutcome(a) == ofOutcome(b)) {
			t.Fatalf("outcomes of %+v and %+v", a, b)
		}
		if proofs(a) == outcomes(b) {
			t.Fatalf("a proof is an outcome: %+v and %+v", a, b)
		}
	})
}
