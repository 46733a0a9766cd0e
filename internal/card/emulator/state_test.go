package emulator_test

import (
	"encoding/base64"
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/internal/card/emulator"
)

func TestStateOutlivesTheProgram(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "card.json")
	c, err := emulator.Create(path, emulator.Options{})
	if err != nil {
		t.Fatal(err)
	}
	send(t, c, selectPIV)
	send(t, c, "0020008008"+wrong)
	send(t, c, "0024008110"+puk+puk2)
	again, err := emulator.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(c.State(), again.State()); diff != "" {
		t.Error(diff)
	}
	if s := again.State(); s.PINTries != 2 || s.PUK != "87654321" {
		t.Errorf("%d tries, PUK %s", s.PINTries, s.PUK)
	}
	if _, err := emulator.Create(path, emulator.Options{}); !errors.Is(err, os.ErrExist) {
		t.Errorf("a card was made over another: %v", err)
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 1 {
		t.Errorf("files left behind: %v, %v", left, err)
	}
}

func TestStateFilesThatAreRefused(t *testing.T) {
	t.Parallel()
	good := newCard(t, emulator.Options{}).State()
	for name, spoil := range map[string]func(*emulator.State){
		"short PIN":              func(s *emulator.State) { s.PIN = "12345" },
		"long PUK":               func(s *emulator.State) { s.PUK = "123456789" },
		"short GUID":             func(s *emulator.State) { s.GUID = "0011" },
		"GUID that is not hex":   func(s *emulator.State) { s.GUID = strings.Repeat("xy", 16) },
		"PIN tries below zero":   func(s *emulator.State) { s.PINTries = -1 },
		"PUK tries below zero":   func(s *emulator.State) { s.PUKTries = -1 },
		"nothing but zero value": func(s *emulator.State) { *s = emulator.State{} },
	} {
		s := good
		spoil(&s)
		path := filepath.Join(t.TempDir(), "card.json")
		if err := s.Save(path); err != nil {
			t.Fatal(err)
		}
		if _, err := emulator.Load(path); err == nil {
			t.Errorf("%s: was loaded", name)
		}
	}
	if _, err := emulator.Load(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	cut := filepath.Join(t.TempDir(), "cut.json")
	if err := os.WriteFile(cut, []byte(`{"guid":`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := emulator.Load(cut); err == nil {
		t.Error("half a file was loaded")
	}
}

// before is a state file of before there was more than one family.
const before = `{"guid": "00112233445546778899aabbccddeeff", "serial": 77, "yubikey": true, "pin": "246813", "puk": "73519264",
"pin_tries": 0, "puk_tries": 2, "pin_tries_total": 3, "puk_tries_total": 5, "pin_history": true, "management_key": "00", "keys": [{"slot": "9A"}]}`

func TestStateFileOfBefore(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "card.json")
	if err := os.WriteFile(path, []byte(before), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := emulator.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	want := emulator.State{Version: 2, Family: emulator.FamilyPIV, Serial: 77, YubiKey: true, Firmware: "5.4.3", PIV: &emulator.PIV{
		GUID: "00112233445546778899aabbccddeeff", PIN: "246813", PUK: "73519264", PUKTries: 2, PINTotal: 3, PUKTotal: 5, History: true,
		Management: "00", Keys: []emulator.Key{{Slot: "9A"}}}}
	if diff := cmp.Diff(want, c.State()); diff != "" {
		t.Error(diff)
	}
	send(t, c, selectPIV)
	send(t, c, "002C008010"+wrong+pin) // it is written in the layout of today
	again, err := emulator.Load(path)
	if err != nil || again.State().PUKTries != 1 || again.State().Version != 2 {
		t.Errorf("%+v, %v", again.State(), err)
	}
}

func TestStateFilesOfOtherFamiliesThatAreRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		family string
		spoil  func(*emulator.State)
	}{
		"a later version":          {emulator.FamilyPIV, func(s *emulator.State) { s.Version = 3 }},
		"no application":           {emulator.FamilyPIV, func(s *emulator.State) { s.PIV = nil }},
		"firmware":                 {emulator.FamilyYubiKey, func(s *emulator.State) { s.Firmware = "5.4" }},
		"GIDS PIN":                 {emulator.FamilyGIDS, func(s *emulator.State) { s.GIDS.PIN = "123" }},
		"GIDS key":                 {emulator.FamilyGIDS, func(s *emulator.State) { s.GIDS.AdminKey = "0102" }},
		"GIDS tries below zero":    {emulator.FamilyGIDS, func(s *emulator.State) { s.GIDS.PINTries = -1 }},
		"OpenPGP PIN":              {emulator.FamilyOpenPGP, func(s *emulator.State) { s.OpenPGP.PIN = emulator.Secret("12345") }},
		"OpenPGP admin PIN":        {emulator.FamilyOpenPGP, func(s *emulator.State) { s.OpenPGP.AdminPIN = emulator.Secret("1234567") }},
		"OpenPGP code":             {emulator.FamilyOpenPGP, func(s *emulator.State) { s.OpenPGP.ResettingCode = emulator.Secret("1234567") }},
		"OpenPGP tries below zero": {emulator.FamilyYubiKey, func(s *emulator.State) { s.OpenPGP.AdminTries = -1 }},
		"OpenPGP answers":          {emulator.FamilyOpenPGP, func(s *emulator.State) { s.OpenPGP.Answers = "never" }},
	} {
		s := newCard(t, emulator.Options{Family: c.family}).State()
		c.spoil(&s)
		path := filepath.Join(t.TempDir(), "card.json")
		if err := s.Save(path); err != nil {
			t.Fatal(err)
		}
		if _, err := emulator.Load(path); err == nil {
			t.Errorf("%s: was loaded", name)
		}
	}
}

func TestStateOfEveryFamilyOutlivesTheProgram(t *testing.T) {
	t.Parallel()
	for _, o := range []emulator.Options{{Family: emulator.FamilyGIDS}, {Family: emulator.FamilyGIDS, Blank: true}, {Family: emulator.FamilyYubiKey},
		{Family: emulator.FamilyOpenPGP, KDF: true, ResettingCode: "24682468"}} {
		path := filepath.Join(t.TempDir(), "card.json")
		c, err := emulator.Create(path, o)
		if err != nil {
			t.Fatal(err)
		}
		again, err := emulator.Load(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.State(), again.State()); diff != "" {
			t.Errorf("%s: %s", o.Family, diff)
		}
		copied := c.State()
		if copied.GIDS != nil {
			copied.GIDS.PINTries, copied.GIDS.Objects["A012/DF20"] = 9, nil
		}
		if copied.OpenPGP != nil {
			copied.OpenPGP.PINTries, copied.OpenPGP.Objects["5B"] = 9, nil
		}
		if diff := cmp.Diff(again.State(), c.State()); diff != "" {
			t.Errorf("%s: a copy of the state is the state: %s", o.Family, diff)
		}
	}
}

func TestOptionsThatAreRefused(t *testing.T) {
	t.Parallel()
	for _, o := range []emulator.Options{{PIN: "1"}, {PUK: "123456789"}, {Algorithm: "rsa512"}, {Algorithm: "ed25519"}, {Family: "another"},
		{Firmware: "5"}, {Family: emulator.FamilyGIDS, PIN: "123"}, {Family: emulator.FamilyGIDS, AdminKey: []byte{1}}, {Family: emulator.FamilyOpenPGP, AdminPIN: "1234567"},
		{Family: emulator.FamilyOpenPGP, Answers: "never"}, {Family: emulator.FamilyYubiKey, Serial: 1_000_000_000}} {
		if _, err := emulator.New(o); err == nil {
			t.Errorf("a card was made of %+v", o)
		}
	}
}

// only makes one fault happen at the n-th command.
func only(n int, f emulator.Fault) emulator.Faults {
	return func(i int, _ []byte) emulator.Fault {
		if i == n {
			return f
		}
		return emulator.Fault{}
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault    emulator.Fault
		answer   string
		err      error
		changed  bool
		selected bool
	}{
		"none":                     {answer: "9000", changed: true, selected: true},
		"torn before it acted":     {fault: emulator.Fault{TearBefore: true}, err: emulator.ErrTorn},
		"torn after it acted":      {fault: emulator.Fault{TearAfter: true}, err: emulator.ErrTorn, changed: true},
		"wrong answer":             {fault: emulator.Fault{Answer: []byte{0x6F, 0x00}}, answer: "6F00", selected: true},
		"an answer without status": {fault: emulator.Fault{Answer: []byte{}}, selected: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "card.json")
			e, err := emulator.Create(path, emulator.Options{})
			if err != nil {
				t.Fatal(err)
			}
			e.SetFaults(only(2, c.fault))
			send(t, e, selectPIV)
			raw := append([]byte{0x00, 0x24, 0x00, 0x81, 0x10}, "1234567887654321"...)
			answer, err := e.Transmit(raw)
			if !errors.Is(err, c.err) || fmt.Sprintf("%X", answer) != c.answer {
				t.Errorf("got %X, %v", answer, err)
			}
			kept, err := emulator.Load(path)
			if err != nil || (kept.State().PUK == "87654321") != c.changed {
				t.Errorf("the file holds PUK %s, %v", kept.State().PUK, err)
			}
			if got := send(t, e, "00200080"); (got == "63C3") != c.selected {
				t.Errorf("state of the PIN afterwards: %s", got)
			}
			e.SetFaults(nil)
			send(t, e, selectPIV)
		})
	}
}

func TestSlowCard(t *testing.T) {
	t.Parallel()
	e := newCard(t, emulator.Options{})
	synctest.Test(t, func(t *testing.T) {
		e.SetFaults(only(1, emulator.Fault{Delay: 4 * time.Second}))
		began := time.Now()
		send(t, e, selectPIV)
		if took := time.Since(began); took != 4*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestExportCSV(t *testing.T) {
	t.Parallel()
	for _, plain := range []bool{false, true} {
		s := newCard(t, emulator.Options{Plain: plain, Serial: 12345678, NoCardAuth: plain}).State()
		text, err := s.ExportCSV("S-1, \"x\"", true)
		if err != nil {
			t.Fatal(err)
		}
		lines, err := csv.NewReader(strings.NewReader(text)).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		serial, proof := "12345678", ""
		if plain {
			serial = ""
		} else {
			proof = base64.StdEncoding.EncodeToString(s.Keys[1].Certificate)
		}
		want := [][]string{
			{"family", "identifier", "serial", "staff_number", "puk", "card_authentication_certificate", "piv_authentication_certificate"},
			{"piv", s.GUID, serial, "S-1, \"x\"", "12345678", proof, base64.StdEncoding.EncodeToString(s.Keys[0].Certificate)},
		}
		if diff := cmp.Diff(want, lines); diff != "" {
			t.Error(diff)
		}
		if short, err := s.ExportCSV("S-1, \"x\"", false); err != nil || !strings.HasSuffix(text, "\n"+short) {
			t.Errorf("without a header: %q, %v", short, err)
		}
	}
}

func TestExportCSVOfOtherFamilies(t *testing.T) {
	t.Parallel()
	gids := newCard(t, emulator.Options{Family: emulator.FamilyGIDS}).State()
	pgp := newCard(t, emulator.Options{Family: emulator.FamilyOpenPGP, Serial: 0xA1B2}).State()
	encode := base64.StdEncoding.EncodeToString
	for _, c := range []struct {
		state emulator.State
		want  []string
	}{
		{gids, []string{"gids", gids.Identifier(), "", "S-1", "administration-key-3des", gids.GIDS.AdminKey, encode(gids.GIDS.Keys[0].Certificate)}},
		{pgp, []string{"openpgp", "ff000000a1b2", "0000A1B2", "S-1", "admin-pin", "12345678", encode(pgp.OpenPGP.Objects["7F21"])}},
	} {
		text, err := c.state.ExportCSV("S-1", true)
		if err != nil {
			t.Fatal(err)
		}
		lines, err := csv.NewReader(strings.NewReader(text)).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		want := [][]string{{"family", "identifier", "serial", "staff_number", "key_kind", "key", "authentication_certificate"}, c.want}
		if diff := cmp.Diff(want, lines); diff != "" {
			t.Error(diff)
		}
	}
}
