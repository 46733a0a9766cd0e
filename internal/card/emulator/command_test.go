package emulator_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"latchkey/internal/card/emulator"
)

func newCard(t testing.TB, o emulator.Options) *emulator.Card {
	t.Helper()
	c, err := emulator.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// send sends a command in hex and gives the answer in hex.
func send(t testing.TB, c *emulator.Card, command string) string {
	t.Helper()
	raw, err := hex.DecodeString(strings.ReplaceAll(command, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := c.Transmit(raw)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%X", answer)
}

// Padded values: the card's own, another good one, a wrong one.
const (
	selectPIV = "00A4040005A000000308"
	pin       = "313233343536FFFF"
	pin2      = "363534333231FFFF"
	puk       = "3132333435363738"
	puk2      = "3837363534333231"
	wrong     = "3939393939393939"
)

func TestCommands(t *testing.T) {
	t.Parallel()
	guid := [16]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}
	yubikey := emulator.Options{GUID: guid, Serial: 12345678}
	plain := emulator.Options{GUID: guid, Plain: true}
	for _, c := range []struct {
		name     string
		options  emulator.Options
		commands []string
		want     string // how the last answer begins
	}{
		{"select", yubikey, []string{selectPIV}, "61114F06000010000100"},
		{"select by the whole name", yubikey, []string{"00A404000BA000000308000010000100"}, "61114F06"},
		{"select something else", yubikey, []string{"00A4040005A000000004"}, "6A82"},
		{"select too little", yubikey, []string{"00A4040004A0000003"}, "6A82"},
		{"select by file number", yubikey, []string{"00A40000023F00"}, "6A82"},
		{"nothing selected", yubikey, []string{"00200080"}, "6D00"},
		{"a command cut off", yubikey, []string{"002000"}, "6700"},
		{"data cut off", yubikey, []string{selectPIV, "0020008008313233"}, "6700"},
		{"extended data cut off", yubikey, []string{selectPIV, "002000800000"}, "6700"},
		{"version", yubikey, []string{selectPIV, "00FD000000"}, "0504039000"},
		{"serial number", yubikey, []string{selectPIV, "00F8000000"}, "00BC614E9000"},
		{"version of a plain card", plain, []string{selectPIV, "00FD000000"}, "6D00"},
		{"metadata of a plain card", plain, []string{selectPIV, "00F7008000"}, "6D00"},
		{"management of a plain card", plain, []string{"00A4040008A000000527471117"}, "6A82"},
		{"metadata of the PIN", yubikey, []string{selectPIV, "00F7008000"}, "0101FF050101060203039000"},
		{"metadata of the PUK after a wrong one", yubikey, []string{selectPIV, "002C008010" + wrong + pin, "00F7008100"}, "0101FF050101060203029000"},
		{"discovery object", yubikey, []string{selectPIV, "00CB3FFF035C017E00"}, "7E124F0BA0000003080000100001005F2F0240009000"},
		{"CHUID", yubikey, []string{selectPIV, "00CB3FFF055C035FC10200"}, "533B3019"},
		{"no such object", yubikey, []string{selectPIV, "00CB3FFF055C035FC10300"}, "6A82"},
		{"malformed GET DATA", yubikey, []string{selectPIV, "00CB3FFF055C045FC10200"}, "6A80"},
		{"card is never rewritten", yubikey, []string{selectPIV, "00DB3FFF075C035FC1025300"}, "6982"},
		{"fetch what is not there", yubikey, []string{selectPIV, "00C0000000"}, "6985"},
		{"sign without a PIN", yubikey, []string{selectPIV, "0087119A267C2482008120" + strings.Repeat("AA", 32)}, "6982"},
		{"sign with a PIN", yubikey, []string{selectPIV, "0020008008" + pin, "0087119A267C2482008120" + strings.Repeat("AA", 32)}, "7C"},
		{"card authentication needs none", yubikey, []string{selectPIV, "0087119E267C2482008120" + strings.Repeat("AA", 32)}, "7C"},
		{"data in two parts", yubikey, []string{selectPIV, "1087119E127C2482008120" + strings.Repeat("AA", 12), "0087119E14" + strings.Repeat("AA", 20)}, "7C"},
		{"parts of two commands do not mix", yubikey, []string{selectPIV, "1087119E01AA", "0020008008" + pin, "00200080"}, "9000"},
		{"state of the PIN", yubikey, []string{selectPIV, "00200080"}, "63C3"},
		{"verify", yubikey, []string{selectPIV, "0020008008" + pin, "00200080"}, "9000"},
		{"verify, then forget", yubikey, []string{selectPIV, "0020008008" + pin, "0020FF80", "00200080"}, "63C3"},
		{"verify, then select", yubikey, []string{selectPIV, "0020008008" + pin, selectPIV, "00200080"}, "9000"},
		{"verify a wrong PIN", yubikey, []string{selectPIV, "0020008008" + wrong}, "63C2"},
		{"verify with the last try", yubikey, []string{selectPIV, "0020008008" + wrong, "0020008008" + wrong, "0020008008" + wrong}, "63C0"},
		{"verify a wrong length", yubikey, []string{selectPIV, "0020008006313233343536"}, "6A80"},
		{"verify the PUK", yubikey, []string{selectPIV, "0020008108" + puk}, "6A88"},
		{"change of another reference", yubikey, []string{selectPIV, "0024008210" + puk + puk2}, "6A88"},
		{"change to letters", yubikey, []string{selectPIV, "0024008010" + pin + "6162636465666768"}, "6A80"},
		{"reset to a PIN that is too short", yubikey, []string{selectPIV, "002C008010" + puk + "3132333435FFFFFF"}, "6A80"},
		{"reset of the PUK", yubikey, []string{selectPIV, "002C008110" + puk + pin}, "6A86"},
		{"many tries are told as 15", emulator.Options{PINTries: 20}, []string{selectPIV, "00200080"}, "63CF"},
		{"a PIN the card refuses", emulator.Options{RefusePINs: []string{"654321"}}, []string{selectPIV, "002C008010" + puk + pin2}, "6A80"},
		{"the PIN it has", emulator.Options{History: true}, []string{selectPIV, "002C008010" + puk + pin}, "6A80"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := newCard(t, c.options)
			var got string
			for _, command := range c.commands {
				got = send(t, e, command)
			}
			if !strings.HasPrefix(got, c.want) || len(c.want) == 4 && got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

// A certificate does not fit into one short answer.
func TestLongAnswersComeInParts(t *testing.T) {
	t.Parallel()
	e := newCard(t, emulator.Options{})
	send(t, e, selectPIV)
	whole := send(t, e, "00CB3FFF000005 5C035FC105 0000")
	if !strings.HasSuffix(whole, "9000") {
		t.Fatalf("extended answer ends with %s", whole[len(whole)-4:])
	}
	var got string
	part := send(t, e, "00CB3FFF055C035FC10500")
	for part[len(part)-4:len(part)-2] == "61" {
		got += part[:len(part)-4]
		part = send(t, e, "00C0000000")
	}
	if got+part != whole {
		t.Error("the parts are not the whole")
	}
	send(t, e, "00CB3FFF055C035FC10500")
	send(t, e, "00200080")
	if got := send(t, e, "00C0000000"); got != "6985" {
		t.Errorf("the rest outlived another command: %s", got)
	}
}

func TestATRChecksum(t *testing.T) {
	t.Parallel()
	for _, plain := range []bool{false, true} {
		atr := newCard(t, emulator.Options{Plain: plain}).ATR()
		var sum byte
		for _, b := range atr[1:] {
			sum ^= b
		}
		if sum != 0 || len(atr) > 33 || bytes.Contains(atr, []byte("YubiKey")) == plain {
			t.Errorf("plain %v: %X", plain, atr)
		}
	}
}

func FuzzTransmit(f *testing.F) {
	for _, seed := range []string{selectPIV, "00200080", "00CB3FFF055C035FC10200", "0087119E067C0482008100", "10DB3FFF0101", "00CB3FFF0000055C035FC1050000",
		selectGIDS, "00870000047C02810000", "00CB3FFF045C027F7100", "0022C1A403830180", selectOpenPGP, "00CA006E00", "002C0081083132333435363738", "00DA00D300"} {
		if raw, err := hex.DecodeString(strings.ReplaceAll(seed, " ", "")); err == nil {
			f.Add(raw)
		}
	}
	cards := map[string]*emulator.Card{
		selectPIV: newCard(f, emulator.Options{}), selectGIDS: newCard(f, emulator.Options{Family: emulator.FamilyGIDS}),
		selectOpenPGP: newCard(f, emulator.Options{Family: emulator.FamilyOpenPGP}),
	}
	blank := newCard(f, emulator.Options{Family: emulator.FamilyGIDS, Blank: true})
	f.Fuzz(func(t *testing.T, raw []byte) {
		for choose, e := range cards {
			e.Reset()
			send(t, e, choose)
			answer, err := e.Transmit(raw)
			if err != nil || len(answer) < 2 {
				t.Fatalf("%X: %X, %v", raw, answer, err)
			}
		}
		blank.Reset()
		send(t, blank, selectGIDS)
		if answer, err := blank.Transmit(raw); err != nil || len(answer) < 2 {
			t.Fatalf("%X: %X, %v", raw, answer, err)
		}
	})
}
