package openpgp

import (
	"context"
	"fmt"

	"latchkey/internal/card"
	"latchkey/internal/card/apdu"
)

// KeyKinds: PW3 first, because it can be changed.
func (c *Card) KeyKinds() []card.KeyKind {
	return []card.KeyKind{card.KeyAdminPIN, card.KeyResettingCode}
}

// Unblock is RESET RETRY COUNTER (section 7.2.4): after a VERIFY of PW3, or with
// the resetting code, which stays usable until PW3 changes it.
func (c *Card) Unblock(ctx context.Context, kind card.KeyKind, key, newPIN string) error {
	reference, err := referenceOf(kind)
	if err != nil {
		return err
	}
	status, err := c.ready(ctx, reference)
	if err != nil {
		return err
	}
	pin, err := c.derive(status, card.ReferencePIN, newPIN, card.ErrRefusedPIN)
	if err != nil {
		return err
	}
	defer clear(pin)
	secret, err := c.derive(status, reference, key, card.ErrRefusedKey)
	if err != nil {
		return err
	}
	defer clear(secret)
	const name = "RESET RETRY COUNTER"
	if kind == card.KeyResettingCode {
		data := append(append(make([]byte, 0, len(secret)+len(pin)), secret...), pin...)
		return c.present(ctx, apdu.Command{Name: name, INS: insResetRetryCounter, P2: refPW1, Data: data},
			status, reference, card.ErrRefusedPIN)
	}
	if err := c.present(ctx, apdu.Command{Name: "VERIFY", INS: insVerify, P2: refPW3, Data: secret},
		status, reference, card.ErrRefusedKey); err != nil {
		return err
	}
	return c.afterAdmin(ctx, apdu.Command{Name: name, INS: insResetRetryCounter, P1: 0x02, P2: refPW1, Data: pin}, card.ErrRefusedPIN)
}

// Rotate is CHANGE REFERENCE DATA of PW3 (section 7.2.3). A resetting code
// cannot change itself: see SetResettingCode.
func (c *Card) Rotate(ctx context.Context, kind card.KeyKind, key, next string) error {
	if kind != card.KeyAdminPIN {
		return fmt.Errorf("change a key of kind %q: %w", kind, card.ErrNotSupported)
	}
	return c.change(ctx, refPW3, card.ReferenceAdminPIN, card.ErrRefusedKey, key, next)
}

// SetResettingCode is PUT DATA of DO D3 after a VERIFY of PW3 (section 4.3.4).
func (c *Card) SetResettingCode(ctx context.Context, adminPIN, next string) error {
	status, err := c.ready(ctx, card.ReferenceAdminPIN)
	if err != nil {
		return err
	}
	code, err := c.derive(status, card.ReferenceResettingCode, next, card.ErrRefusedKey)
	if err != nil {
		return err
	}
	defer clear(code)
	secret, err := c.derive(status, card.ReferenceAdminPIN, adminPIN, card.ErrRefusedKey)
	if err != nil {
		return err
	}
	if err := c.present(ctx, apdu.Command{Name: "VERIFY", INS: insVerify, P2: refPW3, Data: secret},
		status, card.ReferenceAdminPIN, card.ErrRefusedKey); err != nil {
		return err
	}
	return c.afterAdmin(ctx, apdu.Command{Name: "PUT DATA", INS: insPutData, P2: objectResettingCode, Data: code}, card.ErrRefusedKey)
}

// Verify is VERIFY of PW1 for everything but signatures (section 7.2.2), which
// is what INTERNAL AUTHENTICATE needs.
func (c *Card) Verify(ctx context.Context, pin string) error {
	status, err := c.ready(ctx, card.ReferencePIN)
	if err != nil {
		return err
	}
	secret, err := c.derive(status, card.ReferencePIN, pin, card.ErrRefusedPIN)
	if err != nil {
		return err
	}
	return c.present(ctx, apdu.Command{Name: "VERIFY", INS: insVerify, P2: refPW1Other, Data: secret},
		status, card.ReferencePIN, card.ErrRefusedPIN)
}

// Change is CHANGE REFERENCE DATA of PW1.
func (c *Card) Change(ctx context.Context, oldPIN, newPIN string) error {
	return c.change(ctx, refPW1, card.ReferencePIN, card.ErrRefusedPIN, oldPIN, newPIN)
}

// change presents the old value and the new one with nothing between them; the
// card knows how long its own is.
func (c *Card) change(ctx context.Context, p2 byte, r card.Reference, refused error, current, next string) error {
	status, err := c.ready(ctx, r)
	if err != nil {
		return err
	}
	old, err := c.derive(status, r, current, refused)
	if err != nil {
		return err
	}
	defer clear(old)
	fresh, err := c.derive(status, r, next, refused)
	if err != nil {
		return err
	}
	defer clear(fresh)
	data := append(append(make([]byte, 0, len(old)+len(fresh)), old...), fresh...)
	return c.present(ctx, apdu.Command{Name: "CHANGE REFERENCE DATA", INS: insChangeReference, P2: p2, Data: data}, status, r, refused)
}

func referenceOf(kind card.KeyKind) (card.Reference, error) {
	switch kind {
	case card.KeyAdminPIN:
		return card.ReferenceAdminPIN, nil
	case card.KeyResettingCode:
		return card.ReferenceResettingCode, nil
	}
	return "", fmt.Errorf("unblock with a key of kind %q: %w", kind, card.ErrNotSupported)
}

// ready reads the counters before anything is presented, and refuses what would
// be pointless, or the last try of an unlocking key.
func (c *Card) ready(ctx context.Context, r card.Reference) (Status, error) {
	if c.kdfErr != nil {
		return Status{}, c.kdfErr
	}
	status, err := c.readStatus(ctx)
	if err != nil {
		return Status{}, err
	}
	switch left := status.of(r); {
	case left == 0:
		return Status{}, card.BlockedError{Reference: r}
	case left == 1 && r != card.ReferencePIN:
		return Status{}, card.LastTryError{Reference: r}
	}
	return status, nil
}

// derive gives what is presented, or refuses what cannot be right by its length.
func (c *Card) derive(s Status, r card.Reference, text string, refused error) ([]byte, error) {
	least, most := minKey, s.MaxAdminPIN
	switch r {
	case card.ReferencePIN:
		least, most = minPIN, s.MaxPIN
	case card.ReferenceResettingCode:
		most = s.MaxResettingCode
	}
	value := c.kdf.Derive(r, text)
	if len(text) < least || len(text) > maxDerivedFrom || len(value) > most {
		clear(value)
		return nil, fmt.Errorf("%s of impossible length: %w", r, refused)
	}
	return value, nil
}

// present sends a command that presents a secret, and clears its data. After a
// refusal the counter says what it was.
func (c *Card) present(ctx context.Context, command apdu.Command, before Status, r card.Reference, refused error) error {
	defer clear(command.Data)
	answer, err := c.send(ctx, command)
	if err != nil {
		return err
	}
	if answer.SW == apdu.OK {
		return nil
	}
	after, err := c.readStatus(ctx)
	if err != nil {
		return err
	}
	switch left := after.of(r); {
	case left == 0:
		return card.BlockedError{Reference: r}
	case left < before.of(r):
		return card.WrongKeyError{Reference: r, TriesLeft: left}
	}
	return judge(command.Name, answer.SW, refused) // no try was spent: it is something else
}

// afterAdmin sends a command that needs PW3 to be verified.
func (c *Card) afterAdmin(ctx context.Context, command apdu.Command, refused error) error {
	defer clear(command.Data)
	r, err := c.send(ctx, command)
	if err != nil {
		return err
	}
	return judge(command.Name, r.SW, refused)
}

// judge is the fault of a status word when no try was spent.
func judge(name string, sw uint16, refused error) error {
	switch sw {
	case apdu.OK:
		return nil
	case apdu.WrongData, apdu.WrongLength, apdu.ConditionsNotMet:
		return fmt.Errorf("%w (status %04X)", refused, sw)
	case apdu.FunctionUnsupported, apdu.InsUnsupported, apdu.ClaUnsupported, apdu.ReferenceNotFound, apdu.WrongP1P2, apdu.WrongP1P2Alone:
		return fmt.Errorf("%s: status %04X: %w", name, sw, card.ErrNotSupported)
	}
	return card.StatusError{Command: name, SW: sw}
}
