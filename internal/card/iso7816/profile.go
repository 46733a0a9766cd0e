// Package iso7816 speaks to cards that follow ISO/IEC 7816-4 and have a PUK, but
// no standard of their own that says which commands unblock them: national
// cards, IAS-ECC, cards of one vendor. What such a card wants is data, not code:
// a profile file (docs/card-profiles.md) that is checked when it is read.
//
// A card is recognised by its ATR, by the application that it names when that is
// selected, or both. It never gets a VERIFY before that, and an empty VERIFY
// afterwards only where its profile says that it is safe: on some cards an
// empty VERIFY is a wrong try.
package iso7816

import (
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"latchkey/internal/card"
)

// format is the version of the profile files that is read here.
const format = 1

// Profile is one kind of card. The tags are the names in a profile file.
type Profile struct {
	Format int    `toml:"format" json:"format" help:"Version of this layout: 1."`
	Name   string `toml:"name" json:"name" help:"Short name: lower-case letters, digits and hyphens, at most 32."`
	Title  string `toml:"title" json:"title" help:"What people call the card, at most 60 characters."`

	Recognise  Recognise  `toml:"recognise" json:"recognise"`
	Identifier Identifier `toml:"identifier" json:"identifier"`
	PIN        Reference  `toml:"pin" json:"pin"`
	PUK        Reference  `toml:"puk" json:"puk"`
	Unblock    Command    `toml:"unblock" json:"unblock"`
	ChangePIN  Command    `toml:"change_pin" json:"change_pin"`
	ChangePUK  Command    `toml:"change_puk" json:"change_puk"`
}

// Recognise says how the card is told from all others.
type Recognise struct {
	ATR      []string `toml:"atr" json:"atr,omitempty" help:"Answers to reset, one of which is the card's; in hexadecimal, two dots stand for any byte. Without one the application must name itself."`
	AID      string   `toml:"aid" json:"aid,omitempty" help:"Identifier of the application, 5 to 16 bytes; it is selected before anything else. Empty: the master file 3F00 is, and there must be an ATR."`
	SelectP2 Byte     `toml:"select_p2" json:"select_p2,omitempty" help:"P2 of that SELECT: 00 (the default) asks for the application's name, 0C for no answer; 0C needs an ATR."`
}

// Identifier says how the number that tells one card from another is read.
type Identifier struct {
	Object   string   `toml:"object" json:"object,omitempty" help:"Tag of a data object, 1 or 2 bytes: GET DATA reads it. Give this, files or sfi."`
	Files    []string `toml:"files" json:"files,omitempty" help:"File identifiers, 2 bytes each, selected one after another; READ BINARY reads the last."`
	SFI      Byte     `toml:"sfi" json:"sfi,omitempty" help:"Short identifier of a file, 01 to 1E: READ BINARY reads it."`
	Tag      string   `toml:"tag" json:"tag,omitempty" help:"The value of the data object of this tag in what was read; empty: all of it."`
	Offset   int      `toml:"offset" json:"offset,omitempty" help:"Bytes of that to leave out at the beginning."`
	Length   int      `toml:"length" json:"length,omitempty" help:"Bytes of it to take; 0: all."`
	Encoding string   `toml:"encoding" json:"encoding" help:"How the number is printed on the card: hex (as it is), bcd (digits, filled up with F), or ascii."`
}

// Reference is the PIN or the PUK.
type Reference struct {
	Reference  Byte   `toml:"reference" json:"reference" help:"Its reference: P2 of VERIFY."`
	Min        int    `toml:"min" json:"min" help:"Fewest characters."`
	Max        int    `toml:"max" json:"max" help:"Most characters."`
	DigitsOnly bool   `toml:"digits_only" json:"digits_only" help:"It consists of digits. Encodings other than ascii need that."`
	Encoding   string `toml:"encoding" json:"encoding" help:"How it crosses the interface: ascii, bcd (two digits a byte), or iso9564 (a PIN block of format 2, 8 bytes)."`
	Pad        Byte   `toml:"pad" json:"pad,omitempty" help:"Byte that fills it up to length; 00 or FF on nearly every card. In bcd an odd digit is filled up with its lower half."`
	Length     int    `toml:"length" json:"length,omitempty" help:"Bytes when filled up; 0: it is not filled up."`
	Tries      string `toml:"tries" json:"tries" help:"How its tries are read: verify (an empty VERIFY is known to be safe on this card), or none."`
}

// Command is how a command that sets a PIN or PUK is sent.
type Command struct {
	P1 Byte `toml:"p1" json:"p1,omitempty" help:"What the command carries. RESET RETRY COUNTER: 00 PUK and PIN; 02 the PIN alone, after VERIFY of the PUK. CHANGE REFERENCE DATA: 00 old and new; 01 the new one alone, after VERIFY of the old one."`
	P2 Byte `toml:"p2" json:"p2,omitempty" help:"Which reference it sets; empty: that of the PIN, or of the PUK for change_puk."`
	No bool `toml:"no" json:"no,omitempty" help:"true: the card cannot do this. The PUK is then never changed."`
}

// Byte is one byte, in hexadecimal; "" where nothing is given.
type Byte string

// value is the byte, or a fallback where none is given.
func (b Byte) value(fallback byte) byte {
	if raw, err := hex.DecodeString(string(b)); err == nil && len(raw) == 1 {
		return raw[0]
	}
	return fallback
}

var (
	nameForm = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)
	byteForm = regexp.MustCompile(`^[0-9A-Fa-f]{2}$`)
	atrForm  = regexp.MustCompile(`^3[BbFf]([0-9A-Fa-f]{2}|\.\.){1,32}$`)
)

// Encodings of numbers and of what is presented.
const (
	encodingHex   = "hex"
	encodingBCD   = "bcd"
	encodingASCII = "ascii"
	encodingBlock = "iso9564"

	triesVerify = "verify"
	triesNone   = "none"
)

// Check says what is wrong with a profile, nil for nothing. Every fault names
// the field, and all are told at once.
func (p Profile) Check() error {
	var faults []error
	want := func(ok bool, field, what string) {
		if !ok {
			faults = append(faults, fmt.Errorf("%s: want %s", field, what))
		}
	}
	want(p.Format == format, "format", "1")
	want(nameForm.MatchString(p.Name), "name", "a lower-case letter, then letters, digits and hyphens, 32 at most")
	want(printable(p.Title, 60), "title", "1 to 60 printable characters")
	p.Recognise.check(want)
	p.Identifier.check(want)
	p.PIN.check("pin", want)
	p.PUK.check("puk", want)
	want(!p.Unblock.No, "unblock.no", "an unblock command: a card without one is of no use here")
	p.Unblock.check("unblock", "00", "02", want)
	p.ChangePIN.check("change_pin", "00", "01", want)
	p.ChangePUK.check("change_puk", "00", "01", want)
	want(p.PIN.Reference.value(0) != p.PUK.Reference.value(0), "puk.reference", "another one than the PIN's")
	return errors.Join(faults...)
}

type wanted = func(ok bool, field, what string)

func (r Recognise) check(want wanted) {
	aid := isHex(r.AID, 5, 16)
	want(r.AID == "" || aid, "recognise.aid", "5 to 16 bytes in hexadecimal")
	for _, atr := range r.ATR {
		want(atrForm.MatchString(atr), "recognise.atr", "answers to reset in hexadecimal, two dots for any byte")
	}
	want(r.AID != "" || len(r.ATR) > 0, "recognise", "an atr, an aid, or both")
	silent := r.SelectP2.value(0) == 0x0C
	want(r.SelectP2 == "" || r.SelectP2.value(0xFF) == 0 || silent, "recognise.select_p2", "00 or 0C")
	want(!silent || len(r.ATR) > 0, "recognise.select_p2", "00, or an atr: an application that does not name itself could be any")
}

func (i Identifier) check(want wanted) {
	ways := 0
	for _, given := range []bool{i.Object != "", len(i.Files) > 0, i.SFI != ""} {
		if given {
			ways++
		}
	}
	want(ways == 1, "identifier", "one of object, files and sfi")
	want(i.Object == "" || isHex(i.Object, 1, 2), "identifier.object", "a tag of 1 or 2 bytes in hexadecimal")
	want(len(i.Files) <= 4, "identifier.files", "4 files at most")
	for _, f := range i.Files {
		want(isHex(f, 2, 2), "identifier.files", "file identifiers of 2 bytes in hexadecimal")
	}
	sfi := i.SFI.value(0)
	want(i.SFI == "" || sfi >= 1 && sfi <= 0x1E, "identifier.sfi", "01 to 1E")
	want(i.Tag == "" || isHex(i.Tag, 1, 2), "identifier.tag", "a tag of 1 or 2 bytes in hexadecimal")
	want(i.Offset >= 0 && i.Offset <= 255, "identifier.offset", "0 to 255")
	want(i.Length >= 0 && i.Length <= 32, "identifier.length", "0 to 32")
	want(i.Encoding == encodingHex || i.Encoding == encodingBCD || i.Encoding == encodingASCII, "identifier.encoding", "hex, bcd or ascii")
}

// maxBlock bounds a PIN or PUK on the interface, in bytes: two of them fit into
// one short command.
const maxBlock = 64

func (r Reference) check(name string, want wanted) {
	want(byteForm.MatchString(string(r.Reference)), name+".reference", "one byte in hexadecimal")
	want(r.Min >= 4, name+".min", "4 or more")
	want(r.Max >= r.Min && r.Max <= maxBlock, name+".max", "min to 64")
	want(r.Length >= 0 && r.Length <= maxBlock, name+".length", "0 to 64")
	want(r.Pad == "" || byteForm.MatchString(string(r.Pad)), name+".pad", "one byte in hexadecimal")
	want(r.Tries == triesVerify || r.Tries == triesNone, name+".tries", "verify or none")
	longest := r.Max
	switch r.Encoding {
	case encodingASCII:
	case encodingBCD:
		longest = (r.Max + 1) / 2
		want(r.Pad != "" || r.Min == r.Max && r.Max%2 == 0, name+".pad", "a byte to fill up odd digits with")
	case encodingBlock:
		want(r.Max <= 12, name+".max", "12 at most in a PIN block")
		want(r.Length == 0 && r.Pad == "", name+".length", "no length and no pad with a PIN block: it always has 8 bytes")
	default:
		want(false, name+".encoding", "ascii, bcd or iso9564")
	}
	want(r.DigitsOnly || r.Encoding == encodingASCII, name+".digits_only", "true with this encoding")
	want((r.Length == 0) || r.Pad != "", name+".pad", "a byte to fill up with, as there is a length")
	want(r.Length == 0 || r.Length >= longest, name+".length", "room for the longest one")
}

func (c Command) check(name, first, second string, want wanted) {
	want(c.P1 == "" || string(c.P1) == first || string(c.P1) == second, name+".p1", first+" or "+second)
	want(c.P2 == "" || byteForm.MatchString(string(c.P2)), name+".p2", "one byte in hexadecimal")
}

func isHex(s string, least, most int) bool {
	raw, err := hex.DecodeString(s)
	return err == nil && len(raw) >= least && len(raw) <= most
}

func printable(s string, most int) bool {
	return s != "" && len(s) <= most && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}

// Rules is what the card itself asks of a PIN.
func (p Profile) Rules() card.PINRules {
	return card.PINRules{MinLength: p.PIN.Min, MaxLength: p.PIN.Max, DigitsOnly: p.PIN.DigitsOnly}
}

// FitsATR says whether a card's answer to reset is one of the profile's. A
// profile without any fits every card.
func (p Profile) FitsATR(atr []byte) bool {
	text := hex.EncodeToString(atr)
	for _, pattern := range p.Recognise.ATR {
		if fits(text, strings.ToLower(pattern)) {
			return true
		}
	}
	return len(p.Recognise.ATR) == 0
}

func fits(text, pattern string) bool {
	if len(text) != len(pattern) {
		return false
	}
	for i := range len(text) {
		if pattern[i] != '.' && pattern[i] != text[i] {
			return false
		}
	}
	return true
}
