// Package journeytest says what is on an emulated card of any family, for tests
// that ask whether a journey has left it as it should.
package journeytest

import (
	"encoding/hex"
	"fmt"

	"latchkey/internal/card/emulator"
)

// Key is the key that unblocks a card, as the escrow keeps it: that of its
// first application; of an OpenPGP card the resetting code where it has one.
func Key(s emulator.State) string {
	switch {
	case s.PIV != nil:
		return s.PUK
	case s.OpenPGP != nil && len(s.OpenPGP.ResettingCode) > 0:
		return s.OpenPGP.ResettingCode.String()
	case s.OpenPGP != nil:
		return s.OpenPGP.AdminPIN.String()
	case s.ISO != nil:
		return s.ISO.PUK
	}
	raw, err := hex.DecodeString(s.GIDS.AdminKey)
	if err != nil { // the emulator makes no such card
		panic(err)
	}
	return string(raw)
}

// Tries is how often the key can still be presented; -1 for a card that does
// not count.
func Tries(s emulator.State) int {
	switch {
	case s.PIV != nil:
		return s.PUKTries
	case s.OpenPGP != nil && len(s.OpenPGP.ResettingCode) > 0:
		return s.OpenPGP.CodeTries
	case s.OpenPGP != nil:
		return s.OpenPGP.AdminTries
	case s.ISO != nil:
		return s.ISO.PUKTries
	}
	return -1
}

// Unlocked is an error where a card does not have this passcode, or not all
// tries of its passcode and of its key.
func Unlocked(s emulator.State, passcode string) error {
	pin, left, of, keys := "", 0, 0, -1
	switch {
	case s.PIV != nil:
		pin, left, of, keys = s.PIN, s.PINTries, s.PINTotal, s.PUKTotal
	case s.GIDS != nil:
		pin, left, of = s.GIDS.PIN, s.GIDS.PINTries, s.GIDS.PINTotal
	case s.OpenPGP != nil:
		pin, left, of, keys = s.OpenPGP.PIN.String(), s.OpenPGP.PINTries, s.OpenPGP.PINTotal, s.OpenPGP.KeyTotal
	case s.ISO != nil:
		pin, left, of, keys = s.ISO.PIN, s.ISO.PINTries, s.ISO.PINTotal, s.ISO.PUKTotal
	}
	if tries := Tries(s); pin != passcode || left != of || tries != keys {
		return fmt.Errorf("the card: passcode %q, %d of %d tries of it, %d of %d of the key", pin, left, of, tries, keys)
	}
	return nil
}
