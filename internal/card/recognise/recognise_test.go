package recognise_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"latchkey/internal/card"
	"latchkey/internal/card/cardtest"
	"latchkey/internal/card/emulator"
	"latchkey/internal/card/recognise"
)

// known knows every family and no profile.
var known recognise.Recogniser

func script(t *testing.T, name string) card.Conn {
	t.Helper()
	return cardtest.Open(t, filepath.Join("testdata", name+".txt"))
}

func TestCardsAreRecognised(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]card.Identity{
		"piv":           {Family: card.FamilyPIV},
		"gids":          {Family: card.FamilyGIDS},
		"openpgp":       {Family: card.FamilyOpenPGP, ID: "00050000a1b2", Serial: "0000A1B2", Model: "OpenPGP card 3.4"},
		"empty-yubikey": {Family: card.FamilyOpenPGP, ID: "000612345678", Serial: "12345678", Model: "YubiKey, OpenPGP card 3.4"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := known.Open(t.Context(), script(t, name))
			if err != nil || c.Family() != want.Family {
				t.Fatalf("got %v, %v", c, err)
			}
			if want.ID == "" {
				return
			}
			got, err := c.Identity(t.Context()) // needs no further command
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Error(err, diff)
			}
		})
	}
}

// The scripts hold no VERIFY: one that is sent fails the test.
func TestUnrecognisedCardIsLeftAlone(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"unknown", "agreeable", "other", "cutoff", "old", "broken"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := known.Open(t.Context(), script(t, name))
			if c != nil || !errors.Is(err, card.ErrUnrecognised) {
				t.Errorf("got %v, %v", c, err)
			}
			found, err := known.Look(t.Context(), script(t, name))
			if found != nil || !errors.Is(err, card.ErrUnrecognised) {
				t.Errorf("looked: %v, %v", found, err)
			}
		})
	}
}

// stubborn answers every command with the same status and notes instructions.
type stubborn struct {
	card.Conn
	status uint16
	sent   []byte
}

func (s *stubborn) Transmit(_ context.Context, command []byte) ([]byte, error) {
	s.sent = append(s.sent, command[1])
	return []byte{byte(s.status >> 8), byte(s.status)}, nil
}

// harmless are the instructions that an unknown card may be sent: SELECT, and
// both forms of GET DATA.
const harmless = "\xA4\xCA\xCB"

func TestNoStatusMakesAnUnknownCardGetAVerify(t *testing.T) {
	t.Parallel()
	for status := 0x6000; status <= 0x9FFF; status++ {
		if status>>8 == 0x61 {
			continue // more to come without end: see package apdu
		}
		s := &stubborn{status: uint16(status)}
		if c, err := known.Open(t.Context(), s); c != nil || !errors.Is(err, card.ErrUnrecognised) {
			t.Fatalf("status %04X: %v, %v", status, c, err)
		}
		if found, err := known.Look(t.Context(), s); found != nil || !errors.Is(err, card.ErrUnrecognised) {
			t.Fatalf("status %04X: %v, %v", status, found, err)
		}
		for _, ins := range s.sent {
			if ins != harmless[0] && ins != harmless[1] && ins != harmless[2] {
				t.Fatalf("status %04X: command %02X was sent", status, ins)
			}
		}
	}
}

func TestFaultOfTheWayIsNotAnUnknownCard(t *testing.T) {
	t.Parallel()
	const first, second = "> 00A4040005A00000030800\n< 6A82\n", "> 00A4040009A0000003974254465900\n"
	for _, text := range []string{"> 00A4040005A00000030800\n! removed", first + second + "! removed",
		first + second + "< 6A82\n> 00A4040006D2760001240100\n! removed"} {
		for name, open := range map[string]func(card.Conn) error{
			"open": func(c card.Conn) error { _, err := known.Open(t.Context(), c); return err },
			"look": func(c card.Conn) error { _, err := known.Look(t.Context(), c); return err },
		} {
			if err := open(cardtest.New(t, "script", text)); !errors.Is(err, card.ErrRemoved) || errors.Is(err, card.ErrUnrecognised) {
				t.Errorf("%s: got %v", name, err)
			}
		}
	}
}

// inserted is a card in a reader of this process.
func inserted(t *testing.T, o emulator.Options) (*emulator.Card, card.Conn) {
	t.Helper()
	e, err := emulator.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return e, inReader(t, e)
}

func inReader(t *testing.T, e *emulator.Card) card.Conn {
	t.Helper()
	readers := emulator.NewReaders("reader")
	readers.Insert("reader", e)
	conn, err := readers.Connect(t.Context(), "reader")
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestBothApplicationsOfAYubiKeyAreFound(t *testing.T) {
	t.Parallel()
	e, conn := inserted(t, emulator.Options{Family: emulator.FamilyYubiKey, Serial: 12345678, PINTries: 5})
	before := e.State()
	for name, c := range map[string]struct {
		spend func(*emulator.State)
		want  card.Family
	}{
		"nothing is locked": {func(*emulator.State) {}, card.FamilyPIV},
		"PIV is locked":     {func(s *emulator.State) { s.PINTries = 0 }, card.FamilyPIV},
		"OpenPGP is locked": {func(s *emulator.State) { s.OpenPGP.PINTries = 0 }, card.FamilyOpenPGP},
		"both are locked":   {func(s *emulator.State) { s.PINTries, s.OpenPGP.PINTries = 0, 0 }, card.FamilyPIV},
		"PIV has no number": {func(s *emulator.State) { s.GUID = "00000000000000000000000000000000" }, card.FamilyOpenPGP},
	} {
		if err := e.Edit(func(s *emulator.State) {
			s.PINTries, s.OpenPGP.PINTries, s.GUID = 5, 5, before.GUID
			c.spend(s)
		}); err != nil {
			t.Fatal(err)
		}
		is := e.State()
		found, err := known.Look(t.Context(), conn)
		if err != nil || len(found) != 2 {
			t.Fatalf("%s: %d applications, %v", name, len(found), err)
		}
		if found[1].Identity.Serial != "12345678" || found[1].State.PIN.Left != is.OpenPGP.PINTries {
			t.Errorf("%s: OpenPGP %+v", name, found[1])
		}
		chosen, err := recognise.Choose(found)
		if err != nil || chosen.Card.Family() != c.want {
			t.Errorf("%s: %v, %v", name, chosen.Identity, err)
		}
		if diff := cmp.Diff(is, e.State()); diff != "" {
			t.Errorf("%s: looking changed the card: %s", name, diff)
		}
		again, err := known.OpenFamily(t.Context(), conn, c.want)
		if err != nil || again.Family() != c.want {
			t.Errorf("%s: opened again: %v, %v", name, again, err)
		}
	}
}

func TestOpenDoesNotDependOnWhatIsLocked(t *testing.T) {
	t.Parallel()
	e, conn := inserted(t, emulator.Options{Family: emulator.FamilyYubiKey})
	for _, tries := range []int{3, 0} {
		if err := e.Edit(func(s *emulator.State) { s.OpenPGP.PINTries, s.PINTries = tries, 3-tries }); err != nil {
			t.Fatal(err)
		}
		if c, err := known.Open(t.Context(), conn); err != nil || c.Family() != card.FamilyPIV {
			t.Errorf("%d tries of OpenPGP: %v, %v", tries, c, err)
		}
	}
}

func TestFamilyThatTheCardHasNot(t *testing.T) {
	t.Parallel()
	_, conn := inserted(t, emulator.Options{Family: emulator.FamilyGIDS})
	for _, f := range []card.Family{card.FamilyPIV, card.FamilyOpenPGP, "another"} {
		if c, err := known.OpenFamily(t.Context(), conn, f); c != nil || !errors.Is(err, card.ErrUnrecognised) {
			t.Errorf("%s: %v, %v", f, c, err)
		}
	}
	if c, err := known.OpenFamily(t.Context(), conn, card.FamilyGIDS); err != nil || c.Family() != card.FamilyGIDS {
		t.Errorf("got %v, %v", c, err)
	}
}

func TestUselessApplicationSaysWhy(t *testing.T) {
	t.Parallel()
	_, conn := inserted(t, emulator.Options{Family: emulator.FamilyGIDS, Blank: true})
	if c, err := known.Open(t.Context(), conn); c != nil || !errors.Is(err, card.ErrUnrecognised) {
		t.Errorf("a card without an identifier: %v, %v", c, err)
	}
	found, err := known.Look(t.Context(), conn)
	if err != nil || len(found) != 1 || !errors.Is(found[0].Err, card.ErrUnrecognised) {
		t.Fatalf("%v, %v", found, err)
	}
	if _, err := recognise.Choose(found); !errors.Is(err, card.ErrUnrecognised) {
		t.Errorf("chosen: %v", err)
	}
	if _, err := recognise.Choose(nil); !errors.Is(err, card.ErrUnrecognised) {
		t.Errorf("chosen of none: %v", err)
	}
}
