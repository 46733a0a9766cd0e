package iso7816

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the table of fields into docs/card-profiles.md")

const (
	document = "../../../docs/card-profiles.md"
	begin    = "<!-- fields: go test ./internal/card/iso7816 -update writes this table -->\n"
	end      = "<!-- end of fields -->\n"
)

// table is every field of a profile, for those who write one.
func table() string {
	var b strings.Builder
	b.WriteString("| Table | Field | What for |\n| --- | --- | --- |\n")
	rows(&b, "", reflect.TypeFor[Profile]())
	return b.String()
}

func rows(b *strings.Builder, in string, t reflect.Type) {
	for f := range t.Fields() {
		name, help := f.Tag.Get("toml"), f.Tag.Get("help")
		if f.Type.Kind() != reflect.Struct {
			fmt.Fprintf(b, "| %s | `%s` | %s |\n", in, name, help)
			continue
		}
		if name == "puk" || name == "change_pin" || name == "change_puk" { // the same fields as the table before
			fmt.Fprintf(b, "| `[%s]` | | The same fields as `[%s]`. |\n", name, map[bool]string{true: "pin", false: "unblock"}[name == "puk"])
			continue
		}
		rows(b, "`["+name+"]`", f.Type)
	}
}

func TestDocument(t *testing.T) {
	raw, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(raw), begin)
	have, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("docs/card-profiles.md has no table between %q and %q", begin, end)
	}
	if *update {
		have = table()
		if err := os.WriteFile(document, []byte(before+begin+have+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(table(), have); diff != "" {
		t.Errorf("docs/card-profiles.md differs (-want +have); go test ./internal/card/iso7816 -update:\n%s", diff)
	}
	// The worked example is a profile that can be used.
	_, example, found := strings.Cut(string(raw), "```toml\n")
	example, _, closed = strings.Cut(example, "```")
	if p, err := Parse([]byte(example)); !found || !closed || err != nil || p.Name != "town-hall" {
		t.Errorf("the worked example: %+v, %v", p, err)
	}
}

func TestProfilesThatComeWithTheProgram(t *testing.T) {
	list, err := Load(Names()...)
	if err != nil || len(list) < 2 {
		t.Fatalf("%d profiles, %v", len(list), err)
	}
	for i, p := range list {
		if p.Name != Names()[i] {
			t.Errorf("the profile in the file %s is called %s", Names()[i], p.Name)
		}
		if len(p.Commands()) != 4 {
			t.Errorf("%s: %v", p.Name, p.Commands())
		}
	}
}

func TestWhatIsWrongWithAProfile(t *testing.T) {
	raw, err := Source("generic-puk")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ from, to, want string }{
		"another format":       {"format = 1", "format = 2", "format: want 1"},
		"no format":            {"format = 1", "", "format: want 1"},
		"a name in capitals":   {`name = "generic-puk"`, `name = "Generic"`, "name: want"},
		"no title":             {`title = "Card with a PUK"`, `title = ""`, "title: want"},
		"a title in colours":   {`title = "Card with a PUK"`, `title = "\u001b[31m"`, "title: want"},
		"an AID too short":     {`aid = "A000000063504B43532D3135"`, `aid = "A0000000"`, "recognise.aid: want 5 to 16 bytes"},
		"nothing to recognise": {`aid = "A000000063504B43532D3135"`, ``, "recognise: want an atr, an aid, or both"},
		"an ATR of words":      {`aid = `, "atr = [\"hello\"]\naid = ", "recognise.atr: want"},
		"silent and no ATR":    {`aid = `, "select_p2 = \"0C\"\naid = ", "recognise.select_p2: want 00, or an atr"},
		"another P2":           {`aid = `, "select_p2 = \"04\"\naid = ", "recognise.select_p2: want 00 or 0C"},
		"two ways to read":     {`tag = "5A"`, "tag = \"5A\"\nsfi = \"1C\"", "identifier: want one of"},
		"no way to read":       {`files = ["3F00", "2F02"]`, "", "identifier: want one of"},
		"a file of one byte":   {`files = ["3F00", "2F02"]`, `files = ["3F"]`, "identifier.files: want"},
		"SFI 0":                {`files = ["3F00", "2F02"]`, `sfi = "00"`, "identifier.sfi: want"},
		"a tag of three":       {`tag = "5A"`, `tag = "5A5A5A"`, "identifier.tag: want"},
		"offset below zero":    {`tag = "5A"`, `offset = -1`, "identifier.offset: want"},
		"length too large":     {`tag = "5A"`, `length = 33`, "identifier.length: want"},
		"printed in runes":     {"encoding = \"bcd\"", "encoding = \"runes\"", "identifier.encoding: want"},
		"no reference":         {`reference = "01"`, ``, "pin.reference: want"},
		"the same reference":   {`reference = "02"`, `reference = "01"`, "puk.reference: want another one"},
		"PIN of three":         {`min = 4`, `min = 3`, "pin.min: want 4 or more"},
		"shortest is longer":   {`min = 4`, `min = 9`, "pin.max: want min to 64"},
		"no room":              {`length = 8`, `length = 7`, "pin.length: want room"},
		"no filler":            {`pad = "00"`, ``, "pin.pad: want a byte"},
		"unknown encoding":     {`encoding = "ascii"`, `encoding = "utf16"`, "pin.encoding: want"},
		"letters in a block":   {"digits_only = true\nencoding = \"ascii\"", "digits_only = false\nencoding = \"bcd\"", "pin.digits_only: want true"},
		"a block filled up":    {`encoding = "ascii"`, `encoding = "iso9564"`, "pin.length: want no length"},
		"tries by guessing":    {`tries = "none"`, `tries = "try"`, "pin.tries: want"},
		"an odd P1":            {`p1 = "00" # PUK`, `p1 = "01" # PUK`, "unblock.p1: want 00 or 02"},
		"no unblock":           {`p1 = "00" # PUK`, `no = true # PUK`, "unblock.no: want"},
		"an odd change":        {"[change_puk]\np1 = \"00\"", "[change_puk]\np1 = \"02\"", "change_puk.p1: want 00 or 01"},
		"a P2 of two bytes":    {"[change_puk]\np1 = \"00\"", "[change_puk]\np2 = \"0000\"", "change_puk.p2: want one byte"},
		"a field misspelt":     {`tries = "none"`, `trys = "none"`, "trys"},
		"no TOML":              {"format = 1", "format", "toml"},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(string(raw), c.from, c.to, 1)
			if text == string(raw) {
				t.Fatalf("%q is not in the profile", c.from)
			}
			if _, err := Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	if _, err := Parse(make([]byte, maxFile+1)); err == nil {
		t.Error("a huge file passed")
	}
}

func TestLoad(t *testing.T) {
	raw, err := Source("ias-ecc")
	if err != nil {
		t.Fatal(err)
	}
	own := filepath.Join(t.TempDir(), "own.toml")
	if err := os.WriteFile(own, []byte(strings.Replace(string(raw), `"ias-ecc"`, `"own"`, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	list, err := Load(own, "ias-ecc")
	if err != nil || len(list) != 2 || list[0].Name != "own" || list[1].Name != "ias-ecc" {
		t.Errorf("%v, %v", list, err)
	}
	for want, names := range map[string][]string{"another profile is called ias-ecc too": {"ias-ecc", "ias-ecc"}, "there is no such file": {"no-such"},
		"no such file": {filepath.Join(t.TempDir(), "x.toml")}} {
		if _, err := Load(names...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v", names, err)
		}
	}
}
