package recognise_test

import (
	"encoding/hex"
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"latchkey/internal/card"
	"latchkey/internal/card/emulator"
	"latchkey/internal/card/iso7816"
	"latchkey/internal/card/recognise"
)

// part is one application that a card can hold, in one of its states.
type part struct {
	name   string
	family card.Family
	put    func(*emulator.State)
	locked func(emulator.State) bool
	spend  func(*emulator.State)
	useful bool
}

// parts are the states of each application: absent, well, without an
// identifier; those of a profile also with an empty VERIFY that costs a try.
func parts(t *testing.T) [][]part {
	t.Helper()
	made := func(o emulator.Options) emulator.State {
		s, err := emulator.NewState(o)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	pivs := []part{{name: "no PIV", put: func(s *emulator.State) { s.PIV = nil }}}
	for name, o := range map[string]emulator.Options{"PIV": {Plain: true}, "YubiKey 5.2": {Firmware: "5.2.7"}, "YubiKey 5.7": {Firmware: "5.7.1"}} {
		from := made(o)
		for _, guid := range []string{from.GUID, "00000000000000000000000000000000"} {
			pivs = append(pivs, part{name: name + " " + guid[:1], family: card.FamilyPIV, useful: guid == from.GUID, put: func(s *emulator.State) {
				p := *from.PIV
				p.GUID = guid
				s.PIV, s.YubiKey, s.Firmware = &p, from.YubiKey, from.Firmware
			}, locked: func(s emulator.State) bool { return s.PINTries == 0 }, spend: func(s *emulator.State) { s.PINTries = 0 }})
		}
	}
	gids := []part{{name: "no GIDS", put: func(s *emulator.State) { s.GIDS = nil }}}
	for _, blank := range []bool{false, true} {
		from := made(emulator.Options{Family: emulator.FamilyGIDS, Blank: blank})
		gids = append(gids, part{name: "GIDS", family: card.FamilyGIDS, useful: !blank, put: func(s *emulator.State) { g := *from.GIDS; s.GIDS = &g },
			locked: func(s emulator.State) bool { return s.GIDS.PINTries == 0 }, spend: func(s *emulator.State) { s.GIDS.PINTries = 0 }})
	}
	pgps := []part{{name: "no OpenPGP", put: func(s *emulator.State) { s.OpenPGP = nil }}}
	for _, answers := range []string{emulator.AnswerSecurity, emulator.AnswerAlike} {
		from := made(emulator.Options{Family: emulator.FamilyOpenPGP, Answers: answers})
		pgps = append(pgps, part{name: "OpenPGP " + answers, family: card.FamilyOpenPGP, useful: true, put: func(s *emulator.State) { o := *from.OpenPGP; s.OpenPGP = &o },
			locked: func(s emulator.State) bool { return s.OpenPGP.PINTries == 0 }, spend: func(s *emulator.State) { s.OpenPGP.PINTries = 0 }})
	}
	isos := []part{{name: "no profile", put: func(s *emulator.State) { s.ISO = nil }}}
	for _, name := range []string{"generic-puk", "ias-ecc"} {
		for _, counts := range []bool{false, true} {
			p := profileNamed(t, name)
			if !counts && name == "generic-puk" {
				p.PIN.Tries, p.PUK.Tries = "verify", "verify"
			}
			from := made(emulator.Options{Family: emulator.FamilyISO7816, Profile: &p, EmptyCounts: counts})
			isos = append(isos, part{name: name, family: card.FamilyISO7816, useful: true, put: func(s *emulator.State) { i := *from.ISO; s.ISO = &i },
				locked: func(s emulator.State) bool { return s.ISO.PINTries == 0 && s.ISO.Profile.PIN.Tries == "verify" },
				spend:  func(s *emulator.State) { s.ISO.PINTries = 0 }})
		}
	}
	return [][]part{pivs, gids, pgps, isos}
}

func profileNamed(t *testing.T, name string) iso7816.Profile {
	t.Helper()
	list, err := iso7816.Load(name)
	if err != nil {
		t.Fatal(err)
	}
	return list[0]
}

// TestEveryCombination puts every combination of applications on a card, each
// with every combination of PINs that are locked. Whatever there is: all that is
// of use is found in the documented order, the one that is locked is chosen, and
// the card has every try that it had.
func TestEveryCombination(t *testing.T) {
	t.Parallel()
	base, err := emulator.NewState(emulator.Options{})
	if err != nil {
		t.Fatal(err)
	}
	lists := parts(t)
	shipped := []iso7816.Profile{profileNamed(t, "ias-ecc"), profileNamed(t, "generic-puk")}
	cards, looks := 0, 0
	for _, piv := range lists[0] {
		for _, gids := range lists[1] {
			for _, pgp := range lists[2] {
				for _, iso := range lists[3] {
					var has []part
					s := base
					s.YubiKey = false
					for _, p := range []part{piv, gids, pgp, iso} {
						p.put(&s)
						if p.family != "" {
							has = append(has, p)
						}
					}
					if len(has) == 0 {
						continue
					}
					cards++
					for locked := range 1 << len(has) {
						looks++
						lookAt(t, s, has, shipped, locked)
					}
				}
			}
		}
	}
	t.Logf("%d cards, looked at in %d states", cards, looks)
}

func lookAt(t *testing.T, s emulator.State, has []part, shipped []iso7816.Profile, locked int) {
	t.Helper()
	e, err := emulator.FromState(s)
	if err != nil {
		t.Fatal(err)
	}
	conn := inReader(t, e)
	known := recognise.Recogniser{Profiles: shipped}
	if s.ISO != nil { // the card of a profile is known by that one, with its tries
		known.Profiles = []iso7816.Profile{s.ISO.Profile}
		if len(s.ISO.Profile.Recognise.ATR) > 0 { // other applications decide on this card's ATR
			known.Profiles[0].Recognise.ATR = []string{hex.EncodeToString(e.ATR())}
		}
	}
	var names []string
	if err := e.Edit(func(now *emulator.State) {
		for i, p := range has {
			names = append(names, p.name)
			if locked>>i&1 == 1 {
				p.spend(now)
				names = append(names, "(locked)")
			}
		}
	}); err != nil {
		t.Fatal(err)
	}
	before := e.State()
	var want []card.Family
	first, blocked := card.Family(""), card.Family("")
	for _, p := range has {
		if !p.useful {
			continue
		}
		want = append(want, p.family)
		if first == "" {
			first = p.family
		}
		if blocked == "" && p.locked(before) {
			blocked = p.family
		}
	}
	found, err := known.Look(t.Context(), conn)
	if err != nil {
		t.Fatalf("%v: %v", names, err)
	}
	var got []card.Family
	for _, a := range recognise.Useful(found) {
		got = append(got, a.Identity.Family)
	}
	if !slices.Equal(got, want) || len(found) != len(has) {
		t.Errorf("%v: found %v of %d, want %v", names, got, len(found), want)
	}
	choice := first
	if blocked != "" {
		choice = blocked
	}
	chosen, err := recognise.Choose(found)
	switch {
	case choice == "" && !errors.Is(err, card.ErrUnrecognised) && !errors.Is(err, card.ErrMalformed):
		t.Errorf("%v: of no use, and %v", names, err)
	case choice != "" && (err != nil || chosen.Identity.Family != choice):
		t.Errorf("%v: chose %v, %v, want %v", names, chosen.Identity.Family, err, choice)
	}
	c, err := known.Open(t.Context(), conn)
	if first == "" != (err != nil) || err == nil && c.Family() != first {
		t.Errorf("%v: opened %v, %v, want %v", names, c, err, first)
	}
	for _, f := range want {
		if c, err := known.OpenFamily(t.Context(), conn, f); err != nil || c.Family() != f {
			t.Errorf("%v: %s: %v", names, f, err)
		}
	}
	if after := e.State(); !reflect.DeepEqual(before, after) {
		t.Errorf("%v: looking changed the card: %s", names, cmp.Diff(before, after))
	}
}
