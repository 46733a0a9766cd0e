package gids

import (
	"context"
	"fmt"

	"latchkey/internal/card"
	"latchkey/internal/card/apdu"
	"latchkey/internal/card/gids/gidskey"
)

// Verify is VERIFY of the PIN, unpadded.
func (c *Card) Verify(ctx context.Context, pin string) error {
	if !c.fits(pin) {
		return card.ErrRefusedPIN
	}
	return c.present(ctx, apdu.Command{Name: "VERIFY", INS: insVerify, P2: refPIN, Data: []byte(pin)})
}

// Change is CHANGE REFERENCE DATA of the PIN: the old one, then the new one,
// with nothing between them; the card knows how long its own is.
func (c *Card) Change(ctx context.Context, oldPIN, newPIN string) error {
	if !c.fits(oldPIN) || !c.fits(newPIN) {
		return card.ErrRefusedPIN
	}
	return c.present(ctx, apdu.Command{Name: "CHANGE REFERENCE DATA", INS: insChangeReference, P2: refPIN, Data: []byte(oldPIN + newPIN)})
}

func (c *Card) fits(pin string) bool {
	r := c.PINRules()
	return len(pin) >= r.MinLength && len(pin) <= r.MaxLength
}

// present sends a command that presents the PIN.
func (c *Card) present(ctx context.Context, command apdu.Command) error {
	defer clear(command.Data)
	r, err := c.send(ctx, command)
	if err != nil {
		return err
	}
	switch {
	case r.SW == apdu.OK:
		return nil
	case r.SW&0xFFF0 == 0x63C0 && r.SW&0x0F > 0:
		return card.WrongKeyError{Reference: card.ReferencePIN, TriesLeft: int(r.SW & 0x0F)}
	case r.SW == apdu.Blocked, r.SW == 0x63C0:
		return card.BlockedError{Reference: card.ReferencePIN}
	}
	return otherwise(command.Name, r.SW, card.ErrRefusedPIN)
}

// otherwise is the fault of a status word that says nothing of tries.
func otherwise(name string, sw uint16, refused error) error {
	switch sw {
	case apdu.WrongData, apdu.WrongLength, apdu.ConditionsNotMet:
		return fmt.Errorf("%w (status %04X)", refused, sw)
	case apdu.FunctionUnsupported, apdu.InsUnsupported, apdu.ClaUnsupported, apdu.ReferenceNotFound, apdu.WrongP1P2, apdu.WrongP1P2Alone, apdu.NotFound:
		return fmt.Errorf("%s: status %04X: %w", name, sw, card.ErrNotSupported)
	}
	return card.StatusError{Command: name, SW: sw}
}

// chooseKey is MANAGE SECURITY ENVIRONMENT for external and mutual
// authentication with the administration key (reference 80).
func (c *Card) chooseKey(ctx context.Context) error {
	const name = "MANAGE SECURITY ENVIRONMENT"
	r, err := c.send(ctx, apdu.Command{Name: name, INS: insManageSecurity, P1: 0xC1, P2: 0xA4, Data: []byte{0x83, 0x01, 0x80}})
	if err != nil {
		return err
	}
	if r.SW != apdu.OK {
		return otherwise(name, r.SW, card.ErrNotSupported)
	}
	return nil
}

// ExternalChallenge chooses the administration key and asks for a challenge.
func (c *Card) ExternalChallenge(ctx context.Context) ([]byte, error) {
	return c.challenge(ctx, nil, gidskey.ChallengeLength)
}

// MutualChallenge chooses the administration key, gives the card r1 and brings
// its r2. A card that knows external authentication alone refuses r1.
func (c *Card) MutualChallenge(ctx context.Context, r1 []byte) ([]byte, error) {
	if len(r1) != gidskey.NonceLength {
		return nil, gidskey.ErrLength
	}
	return c.challenge(ctx, r1, gidskey.NonceLength)
}

func (c *Card) challenge(ctx context.Context, ours []byte, length int) ([]byte, error) {
	if err := c.chooseKey(ctx); err != nil {
		return nil, err
	}
	r, err := c.authenticate(ctx, 0x81, ours)
	if err != nil {
		return nil, err
	}
	if r.SW != apdu.OK {
		return nil, otherwise("GENERAL AUTHENTICATE", r.SW, card.ErrNotSupported)
	}
	theirs, err := ParseAuthentication(r.Data, 0x81)
	if err != nil || len(theirs) != length {
		return nil, fmt.Errorf("GENERAL AUTHENTICATE: %w", card.ErrMalformed)
	}
	return theirs, nil
}

// ExternalAnswer presents the answer to ExternalChallenge.
func (c *Card) ExternalAnswer(ctx context.Context, answer []byte) error {
	if len(answer) != gidskey.ChallengeLength {
		return gidskey.ErrLength
	}
	r, err := c.authenticate(ctx, 0x82, answer)
	if err != nil {
		return err
	}
	return judgeKey(r.SW)
}

// MutualAnswer presents the answer to MutualChallenge and brings the card's
// reply. The card is authorised from here on, whether or not the reply is right.
func (c *Card) MutualAnswer(ctx context.Context, answer []byte) ([]byte, error) {
	if len(answer) != gidskey.MutualLength {
		return nil, gidskey.ErrLength
	}
	r, err := c.authenticate(ctx, 0x82, answer)
	if err != nil {
		return nil, err
	}
	if err := judgeKey(r.SW); err != nil {
		return nil, err
	}
	reply, err := ParseAuthentication(r.Data, 0x82)
	if err != nil || len(reply) != gidskey.MutualLength {
		return nil, fmt.Errorf("GENERAL AUTHENTICATE: %w", card.ErrMalformed)
	}
	return reply, nil
}

// authenticate is GENERAL AUTHENTICATE with one object of the template 7C.
func (c *Card) authenticate(ctx context.Context, tag uint32, value []byte) (apdu.Response, error) {
	return c.send(ctx, apdu.Command{Name: "GENERAL AUTHENTICATE", INS: insAuthenticate,
		Data: apdu.EncodeTLV(0x7C, apdu.EncodeTLV(tag, value)), Answer: true})
}

// ParseAuthentication reads one object of the template 7C.
func ParseAuthentication(data []byte, tag uint32) ([]byte, error) {
	template, ok := apdu.FindTLV(data, 0x7C)
	if !ok {
		return nil, card.ErrMalformed
	}
	value, ok := apdu.FindTLV(template, tag)
	if !ok {
		return nil, card.ErrMalformed
	}
	return append([]byte(nil), value...), nil
}

// judgeKey turns the status word of an answer into a typed fault. Most cards
// count no tries of the administration key and answer 6982 (or 6300).
func judgeKey(sw uint16) error {
	const key = card.ReferenceAdminKey
	switch {
	case sw == apdu.OK:
		return nil
	case sw&0xFFF0 == 0x63C0 && sw&0x0F > 0:
		return card.WrongKeyError{Reference: key, TriesLeft: int(sw & 0x0F)}
	case sw == apdu.SecurityStatus, sw == 0x6300:
		return card.WrongKeyError{Reference: key, TriesLeft: -1}
	case sw == apdu.Blocked, sw == 0x63C0:
		return card.BlockedError{Reference: key}
	case sw == apdu.ConditionsNotMet: // no challenge is open: the card was reset
		return fmt.Errorf("GENERAL AUTHENTICATE: %w", card.ErrNotAuthenticated)
	}
	return otherwise("GENERAL AUTHENTICATE", sw, card.ErrRefusedKey)
}

// UnblockAuthenticated is RESET RETRY COUNTER after an authentication. The PIN
// is not padded. It ends the authentication.
func (c *Card) UnblockAuthenticated(ctx context.Context, newPIN string) error {
	if !c.fits(newPIN) {
		return card.ErrRefusedPIN
	}
	data := []byte(newPIN)
	defer clear(data)
	const name = "RESET RETRY COUNTER"
	r, err := c.send(ctx, apdu.Command{Name: name, INS: insResetRetryCounter, P1: 0x02, P2: refPIN, Data: data})
	if err != nil {
		return err
	}
	return authorised(name, r.SW, card.ErrRefusedPIN)
}

func authorised(name string, sw uint16, refused error) error {
	switch sw {
	case apdu.OK:
		return nil
	case apdu.SecurityStatus:
		return fmt.Errorf("%s: %w", name, card.ErrNotAuthenticated)
	}
	return otherwise(name, sw, refused)
}

// RotateKey is PUT DATA of the administration key: reference 84, and in the
// template A5 the key (87) and where it belongs (88). The key crosses the
// interface in clear.
func (c *Card) RotateKey(ctx context.Context, next []byte) error {
	if err := gidskey.Check(next); err != nil {
		return fmt.Errorf("%w: %w", card.ErrRefusedKey, err)
	}
	data := apdu.EncodeTLV(0x70, apdu.EncodeTLV(0x84, []byte{refPIN}),
		apdu.EncodeTLV(0xA5, apdu.EncodeTLV(0x87, next), apdu.EncodeTLV(0x88, []byte{0xB0, 0x73, 0xDC})))
	defer clear(data)
	const name = "PUT DATA"
	r, err := c.send(ctx, apdu.Command{Name: name, INS: insPutData, P1: 0x3F, P2: 0xFF, Data: data})
	if err != nil {
		return err
	}
	return authorised(name, r.SW, card.ErrRefusedKey)
}

// EndAuthentication is VERIFY of the reference that forgets them all.
func (c *Card) EndAuthentication(ctx context.Context) error {
	r, err := c.send(ctx, apdu.Command{Name: "VERIFY", INS: insVerify, P2: refEnd})
	if err != nil {
		return err
	}
	if r.SW != apdu.OK {
		return card.StatusError{Command: "VERIFY (end)", SW: r.SW}
	}
	return nil
}
