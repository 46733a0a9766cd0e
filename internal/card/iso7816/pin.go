package iso7816

import (
	"context"
	"fmt"

	"latchkey/internal/card"
	"latchkey/internal/card/apdu"
)

// State reads the tries where the profile says that an empty VERIFY is safe.
// Elsewhere it sends nothing and knows nothing.
func (c *Card) State(ctx context.Context) (card.State, error) {
	pin, err := c.tries(ctx, c.profile.PIN)
	if err != nil {
		return card.State{}, err
	}
	puk, err := c.tries(ctx, c.profile.PUK)
	return card.State{PIN: pin, Keys: map[card.KeyKind]card.Counter{card.KeyPUK: puk}}, err
}

func (c *Card) tries(ctx context.Context, r Reference) (card.Counter, error) {
	if r.Tries != triesVerify {
		return card.Counter{}, nil
	}
	answer, err := c.send(ctx, apdu.Command{Name: "VERIFY", INS: insVerify, P2: r.Reference.value(0)})
	if err != nil {
		return card.Counter{}, err
	}
	switch {
	case answer.SW == apdu.OK: // verified already, or it needs no PIN: the count is not told
		return card.Counter{}, nil
	case answer.SW&0xFFF0 == 0x63C0:
		return card.Counter{Known: true, Left: int(answer.SW & 0x0F)}, nil
	case answer.SW == apdu.Blocked, answer.SW == swUnusable:
		return card.Counter{Known: true}, nil
	}
	return card.Counter{}, card.StatusError{Command: "VERIFY (empty)", SW: answer.SW}
}

// swUnusable says that reference data cannot be used (6984): some cards answer
// it where others say blocked.
const swUnusable = 0x6984

// KeyKinds: a card of a profile has a PUK.
func (c *Card) KeyKinds() []card.KeyKind { return []card.KeyKind{card.KeyPUK} }

// Unblock is RESET RETRY COUNTER (ISO/IEC 7816-4 section 11.6.10) as the profile
// says: with the PUK in it, or after VERIFY of the PUK.
func (c *Card) Unblock(ctx context.Context, kind card.KeyKind, puk, newPIN string) error {
	if kind != card.KeyPUK {
		return fmt.Errorf("unblock with a key of kind %q: %w", kind, card.ErrNotSupported)
	}
	return c.set(ctx, setting{name: "RESET RETRY COUNTER", ins: insResetRetryCounter, command: c.profile.Unblock,
		old: c.profile.PUK, fresh: c.profile.PIN, presented: card.ReferencePUK, refused: card.ErrRefusedPIN}, puk, newPIN)
}

// Rotate is CHANGE REFERENCE DATA (ISO/IEC 7816-4 section 11.6.7) of the PUK.
func (c *Card) Rotate(ctx context.Context, kind card.KeyKind, puk, newPUK string) error {
	if kind != card.KeyPUK {
		return fmt.Errorf("change a key of kind %q: %w", kind, card.ErrNotSupported)
	}
	return c.set(ctx, setting{name: "CHANGE REFERENCE DATA", ins: insChangeReference, command: c.profile.ChangePUK,
		old: c.profile.PUK, fresh: c.profile.PUK, presented: card.ReferencePUK, refused: card.ErrRefusedKey}, puk, newPUK)
}

// Change is CHANGE REFERENCE DATA of the PIN.
func (c *Card) Change(ctx context.Context, oldPIN, newPIN string) error {
	return c.set(ctx, setting{name: "CHANGE REFERENCE DATA", ins: insChangeReference, command: c.profile.ChangePIN,
		old: c.profile.PIN, fresh: c.profile.PIN, presented: card.ReferencePIN, refused: card.ErrRefusedPIN}, oldPIN, newPIN)
}

// Verify is VERIFY of the PIN (ISO/IEC 7816-4 section 11.6.6).
func (c *Card) Verify(ctx context.Context, pin string) error {
	block, ok := c.profile.PIN.Block(pin)
	if !ok {
		return card.ErrRefusedPIN
	}
	defer clear(block)
	return c.verify(ctx, c.profile.PIN, block, card.ReferencePIN)
}

// setting is a command that sets one reference with the help of another.
type setting struct {
	name       string
	ins        byte
	command    Command
	old, fresh Reference
	presented  card.Reference
	refused    error
}

// set sends it. What cannot be right by its length is never sent, and a PUK
// that says that one try is left is left alone.
func (c *Card) set(ctx context.Context, s setting, current, next string) error {
	if s.command.No {
		return fmt.Errorf("%s: not on this kind of card: %w", s.name, card.ErrNotSupported)
	}
	old, ok := s.old.Block(current)
	if !ok {
		return fmt.Errorf("%s: %s: %w: %w", s.name, s.presented, errLength, card.ErrRefusedKey)
	}
	defer clear(old)
	fresh, ok := s.fresh.Block(next)
	if !ok {
		return s.refused
	}
	defer clear(fresh)
	if s.presented == card.ReferencePUK {
		if err := c.spare(ctx); err != nil {
			return err
		}
	}
	p1 := s.command.P1.value(0)
	data := fresh
	if p1 == 0 {
		data = append(append(make([]byte, 0, 2*maxBlock), old...), fresh...)
		defer clear(data)
	} else if err := c.verify(ctx, s.old, old, s.presented); err != nil {
		return err
	}
	r, err := c.send(ctx, apdu.Command{Name: s.name, INS: s.ins, P1: p1, P2: s.command.P2.value(s.fresh.Reference.value(0)), Data: data})
	if err != nil {
		return err
	}
	if p1 != 0 && r.SW == apdu.SecurityStatus { // it was verified a moment ago: not a wrong one
		return card.StatusError{Command: s.name, SW: r.SW}
	}
	return judge(s.name, r.SW, s.presented, s.refused)
}

// spare keeps the last try of the PUK, where the card tells it.
func (c *Card) spare(ctx context.Context) error {
	left, err := c.tries(ctx, c.profile.PUK)
	switch {
	case err != nil:
		return err
	case left.Blocked():
		return card.BlockedError{Reference: card.ReferencePUK}
	case left.Known && left.Left == 1:
		return card.LastTryError{Reference: card.ReferencePUK}
	}
	return nil
}

func (c *Card) verify(ctx context.Context, r Reference, block []byte, presented card.Reference) error {
	answer, err := c.send(ctx, apdu.Command{Name: "VERIFY", INS: insVerify, P2: r.Reference.value(0), Data: block})
	if err != nil {
		return err
	}
	refused := card.ErrRefusedKey
	if presented == card.ReferencePIN {
		refused = card.ErrRefusedPIN
	}
	return judge("VERIFY", answer.SW, presented, refused)
}

// judge turns a status word into a typed fault. A refusal without a count
// (6300, 6982) may have been any try: card.WrongKeyError with -1.
func judge(name string, sw uint16, presented card.Reference, refused error) error {
	switch {
	case sw == apdu.OK:
		return nil
	case sw&0xFFF0 == 0x63C0 && sw&0x0F > 0:
		return card.WrongKeyError{Reference: presented, TriesLeft: int(sw & 0x0F)}
	case sw == 0x6300, sw == apdu.SecurityStatus:
		return card.WrongKeyError{Reference: presented, TriesLeft: -1}
	case sw == apdu.Blocked, sw == 0x63C0, sw == swUnusable:
		return card.BlockedError{Reference: presented}
	case sw == apdu.WrongData, sw == apdu.ConditionsNotMet, sw == apdu.WrongLength:
		return fmt.Errorf("%w (status %04X)", refused, sw)
	case sw == apdu.FunctionUnsupported, sw == apdu.InsUnsupported, sw == apdu.ClaUnsupported, sw == apdu.ReferenceNotFound, sw == apdu.WrongP1P2:
		return fmt.Errorf("%s: status %04X: %w", name, sw, card.ErrNotSupported)
	}
	return card.StatusError{Command: name, SW: sw}
}
