package piv

import (
	"context"
	"errors"
	"fmt"

	"latchkey/internal/card"
	"latchkey/internal/card/apdu"
)

// pinLength is the fixed length of a padded PIN or PUK
// (SP 800-73-4 part 2 section 2.4.3).
const pinLength = 8

// State reads the try counters without spending a try: the PIN's by an empty
// VERIFY (SP 800-73-4 part 2 section 3.2.1), the PUK's by metadata where the
// card has it.
func (c *Card) State(ctx context.Context) (card.State, error) {
	if err := c.checkPrimaryPIN(ctx); err != nil {
		return card.State{}, err
	}
	pin, err := c.metadata(ctx, refPIN)
	if err != nil {
		return card.State{}, err
	}
	puk, err := c.metadata(ctx, refPUK)
	if err != nil {
		return card.State{}, err
	}
	if puk.Blocked() {
		if puk.Disabled, err = c.pukDisabled(ctx); err != nil {
			return card.State{}, err
		}
	}
	keys := map[card.KeyKind]card.Counter{card.KeyPUK: puk}
	if pin.Known {
		return card.State{PIN: pin, Keys: keys}, nil
	}
	r, err := c.send(ctx, apdu.Command{Name: "VERIFY", INS: insVerify, P2: refPIN})
	if err != nil {
		return card.State{}, err
	}
	switch {
	case r.SW == apdu.OK: // verified already: not locked, count not told
	case r.SW&0xFFF0 == 0x63C0:
		pin = card.Counter{Known: true, Left: int(r.SW & 0x0F)}
	case r.SW == apdu.Blocked:
		pin = card.Counter{Known: true}
	default:
		return card.State{}, card.StatusError{Command: "VERIFY (empty)", SW: r.SW}
	}
	return card.State{PIN: pin, Keys: keys}, nil
}

// checkPrimaryPIN reads the PIN usage policy of the discovery object: byte 1
// bit 6 says that there is a Global PIN, byte 2 = 20 that it is the primary one.
func (c *Card) checkPrimaryPIN(ctx context.Context) error {
	if c.primaryPIN {
		return nil
	}
	object, err := c.getData(ctx, objectDiscovery)
	if err == nil {
		err = parseDiscovery(object)
	} else if errors.Is(err, errNoObject) {
		err = nil
	}
	c.primaryPIN = err == nil
	return err
}

func parseDiscovery(object []byte) error {
	policy, ok := apdu.FindTLV(object, 0x5F2F)
	if !ok || len(policy) != 2 {
		return nil // optional, and some cards leave it half filled
	}
	if policy[0]&0x20 != 0 && policy[1] == 0x20 {
		return ErrGlobalPIN
	}
	return nil
}

// metadata reads a try counter with Yubico's GET METADATA; a card without it
// gives an unknown counter.
func (c *Card) metadata(ctx context.Context, ref byte) (card.Counter, error) {
	if !c.hasMetadata() {
		return card.Counter{}, nil
	}
	r, err := c.send(ctx, apdu.Command{Name: "GET METADATA", INS: insGetMetadata, P2: ref, Answer: true})
	if err != nil || r.SW != apdu.OK {
		return card.Counter{}, err
	}
	return parseRetries(r.Data), nil
}

// parseRetries reads tag 06 of a metadata answer: tries in all, tries left.
func parseRetries(data []byte) card.Counter {
	tries, ok := apdu.FindTLV(data, 0x06)
	if !ok || len(tries) != 2 || tries[1] > tries[0] {
		return card.Counter{}
	}
	return card.Counter{Known: true, Total: int(tries[0]), Left: int(tries[1])}
}

// KeyKinds: a PIV card has a PUK.
func (c *Card) KeyKinds() []card.KeyKind { return []card.KeyKind{card.KeyPUK} }

// Unblock is RESET RETRY COUNTER (SP 800-73-4 part 2 section 3.2.3).
func (c *Card) Unblock(ctx context.Context, kind card.KeyKind, puk, newPIN string) error {
	if kind != card.KeyPUK {
		return fmt.Errorf("unblock with a key of kind %q: %w", kind, card.ErrNotSupported)
	}
	if err := c.checkPrimaryPIN(ctx); err != nil {
		return err
	}
	return c.explain(ctx, c.reference(ctx, "RESET RETRY COUNTER", insResetRetryCounter, refPIN, card.ReferencePUK, card.ErrRefusedPIN, puk, newPIN))
}

// Rotate is CHANGE REFERENCE DATA of the PUK (SP 800-73-4 part 2 section 3.2.2).
func (c *Card) Rotate(ctx context.Context, kind card.KeyKind, puk, newPUK string) error {
	if kind != card.KeyPUK {
		return fmt.Errorf("change a key of kind %q: %w", kind, card.ErrNotSupported)
	}
	return c.explain(ctx, c.reference(ctx, "CHANGE REFERENCE DATA", insChangeReference, refPUK, card.ReferencePUK, card.ErrRefusedKey, puk, newPUK))
}

// Change is CHANGE REFERENCE DATA of the PIN.
func (c *Card) Change(ctx context.Context, oldPIN, newPIN string) error {
	if err := c.checkPrimaryPIN(ctx); err != nil {
		return err
	}
	return c.reference(ctx, "CHANGE REFERENCE DATA", insChangeReference, refPIN, card.ReferencePIN, card.ErrRefusedPIN, oldPIN, newPIN)
}

// Verify is VERIFY of the PIN (SP 800-73-4 part 2 section 3.2.1).
func (c *Card) Verify(ctx context.Context, pin string) error {
	data, ok := pad(pin)
	if !ok {
		return card.ErrRefusedPIN
	}
	defer clear(data)
	r, err := c.send(ctx, apdu.Command{Name: "VERIFY", INS: insVerify, P2: refPIN, Data: data})
	if err != nil {
		return err
	}
	return judge("VERIFY", r.SW, card.ReferencePIN, card.ErrRefusedPIN)
}

// reference sends a command that presents one reference and sets another.
func (c *Card) reference(ctx context.Context, name string, ins, p2 byte, presented card.Reference, refused error, current, next string) error {
	old, ok := pad(current)
	if !ok {
		return fmt.Errorf("%s: %s of impossible length: %w", name, presented, card.ErrRefusedKey)
	}
	defer clear(old)
	fresh, ok := pad(next)
	if !ok {
		return refused
	}
	defer clear(fresh)
	data := append(append(make([]byte, 0, 2*pinLength), old...), fresh...)
	defer clear(data)
	r, err := c.send(ctx, apdu.Command{Name: name, INS: ins, P2: p2, Data: data})
	if err != nil {
		return err
	}
	return judge(name, r.SW, presented, refused)
}

// judge turns a status word into a typed fault.
func judge(name string, sw uint16, presented card.Reference, refused error) error {
	switch {
	case sw == apdu.OK:
		return nil
	case sw&0xFFF0 == 0x63C0 && sw&0x0F > 0:
		return card.WrongKeyError{Reference: presented, TriesLeft: int(sw & 0x0F)}
	case sw == apdu.Blocked, sw == 0x63C0:
		return card.BlockedError{Reference: presented}
	case sw == apdu.WrongData, sw == apdu.ConditionsNotMet, sw == apdu.WrongLength:
		return fmt.Errorf("%w (status %04X)", refused, sw)
	case sw == apdu.FunctionUnsupported, sw == apdu.InsUnsupported, sw == apdu.ClaUnsupported,
		sw == apdu.ReferenceNotFound, sw == apdu.WrongP1P2:
		return fmt.Errorf("%s: status %04X: %w", name, sw, card.ErrNotSupported)
	}
	return card.StatusError{Command: name, SW: sw}
}

// pad fills a PIN or PUK of 6 to 8 characters with FF to 8 bytes.
func pad(s string) ([]byte, bool) {
	if len(s) < 6 || len(s) > pinLength {
		return nil, false
	}
	out := []byte{0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}
	copy(out, s)
	return out, true
}
