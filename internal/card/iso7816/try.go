package iso7816

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"latchkey/internal/card"
	"latchkey/internal/card/apdu"
)

// Finding is one line of a dry run.
type Finding struct {
	What   string
	Good   bool
	Detail string
}

// Try compares a profile with a card as far as that spends no try: it
// recognises the card, reads its identifier and, where the profile says that
// this is safe, its tries. What would present a PIN or PUK is told, not sent.
// ok: an unlock can be tried. Error: a fault of the way to the card.
func Try(ctx context.Context, conn Conn, p Profile) (list []Finding, ok bool, err error) {
	say := func(what string, good bool, detail string, args ...any) bool {
		list = append(list, Finding{what, good, fmt.Sprintf(detail, args...)})
		return good
	}
	atr := fmt.Sprintf("%X", conn.ATR())
	switch {
	case !p.FitsATR(conn.ATR()):
		say("ATR", false, "The card's is %s. The profile has no such one.", atr)
		return list, false, nil
	case len(p.Recognise.ATR) == 0:
		say("ATR", true, "The card's is %s. The profile takes any.", atr)
	default:
		say("ATR", true, "%s is in the profile.", atr)
	}
	guarded := guard{Conn: conn, profile: p}
	c, err := Open(ctx, guarded, p)
	if errors.Is(err, card.ErrUnrecognised) {
		say("Application", false, "The card does not select %s, or does not name it in its answer.", or(p.Recognise.AID, masterFile))
		return list, false, nil
	}
	if err != nil {
		return list, false, err
	}
	say("Application", true, "%s is selected.", or(p.Recognise.AID, masterFile))
	ok = true
	id, err := c.Identity(ctx)
	switch {
	case errors.Is(err, card.ErrUnrecognised) || errors.Is(err, card.ErrMalformed):
		ok = say("Identifier", false, "%v.", err)
	case err != nil:
		return list, false, err
	default:
		say("Identifier", true, "%s; compare it with the number on the card: %s.", id.ID, or(id.Serial, id.ID))
	}
	for _, r := range []struct {
		name string
		Reference
	}{{"PIN", p.PIN}, {"PUK", p.PUK}} {
		left, err := c.tries(ctx, r.Reference)
		var status card.StatusError
		switch {
		case errors.As(err, &status):
			ok = say("Tries of the "+r.name, false, "%v. Set %s.tries to none.", err, strings.ToLower(r.name))
		case err != nil:
			return list, false, err
		case left.Known:
			say("Tries of the "+r.name, true, "%d are left.", left.Left)
		default:
			say("Tries of the "+r.name, true, "They cannot be read.")
		}
	}
	for _, line := range p.Commands() {
		say("Not sent", true, "%s", line)
	}
	return list, ok, nil
}

// Commands are the commands that an unlock sends, with what is secret in words.
func (p Profile) Commands() []string {
	command := func(what string, ins byte, c Command, old, fresh Reference, oldName, freshName string) string {
		if c.No {
			return what + ": never."
		}
		p1, p2 := c.P1.value(0), c.P2.value(fresh.Reference.value(0))
		if p1 == 0 {
			return fmt.Sprintf("%s: 00%02X%02X%02X <%s %s> <%s %s>", what, ins, p1, p2, oldName, old.form(), freshName, fresh.form())
		}
		return fmt.Sprintf("%s: 002000%02X <%s %s>, then 00%02X%02X%02X <%s %s>", what, old.Reference.value(0), oldName, old.form(),
			ins, p1, p2, freshName, fresh.form())
	}
	return []string{
		command("unblock", insResetRetryCounter, p.Unblock, p.PUK, p.PIN, "PUK", "PIN"),
		command("change the PUK", insChangeReference, p.ChangePUK, p.PUK, p.PUK, "PUK", "next PUK"),
		fmt.Sprintf("verify: 002000%02X <PIN %s>", p.PIN.Reference.value(0), p.PIN.form()),
		command("change the PIN", insChangeReference, p.ChangePIN, p.PIN, p.PIN, "PIN", "new PIN"),
	}
}

// form is how a PIN or PUK crosses the interface, in words.
func (r Reference) form() string {
	switch {
	case r.Encoding == encodingBlock:
		return "as a PIN block"
	case r.Length > 0:
		return fmt.Sprintf("in %s, %s to %d bytes", r.Encoding, strings.ToUpper(string(r.Pad)), r.Length)
	}
	return "in " + r.Encoding
}

func or(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}

// errGuarded is what a dry run answers to a command that it does not send.
var errGuarded = errors.New("a dry run sends nothing that presents a PIN or PUK")

// guard lets through what spends no try, whatever the code above it does:
// SELECT, reading, and an empty VERIFY where the profile says that it is safe.
type guard struct {
	Conn
	profile Profile
}

func (g guard) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	if len(command) < 4 || !g.harmless(command) {
		return nil, fmt.Errorf("command %s: %w", hex.EncodeToString(command[:min(4, len(command))]), errGuarded)
	}
	return g.Conn.Transmit(ctx, command)
}

func (g guard) harmless(command []byte) bool {
	switch command[1] {
	case insSelect, insReadBinary, insGetData, 0xC0: // GET RESPONSE
		return true
	case insVerify:
		for _, r := range []Reference{g.profile.PIN, g.profile.PUK} {
			if len(command) == 4 && r.Tries == triesVerify && r.Reference.value(0) == command[3] {
				return true
			}
		}
	}
	return false
}

var _ apdu.Transmitter = guard{}
