package config

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the table of settings into docs/operating.md")

const (
	document = "../../docs/operating.md"
	begin    = "<!-- settings: go test ./internal/config -update writes this table -->\n"
	end      = "<!-- end of settings -->\n"
)

// table is every setting for operators.
func table() string {
	var b strings.Builder
	b.WriteString("| File key | Flag | Environment | Default | What for |\n| --- | --- | --- | --- | --- |\n")
	c := Default()
	c.Data = "latchkeyd-data" // not what this machine happens to have
	for _, f := range c.fields() {
		flag, variable, value := "`--"+flagName(f.name)+"`", "`"+prefix+strings.ToUpper(f.name)+"`", "`"+f.text()+"`"
		if f.secret {
			flag, variable = "none", variable+", `"+prefix+strings.ToUpper(f.name)+"_FILE`"
		}
		if f.text() == "" {
			value = ""
		}
		if f.name == "data" {
			value = "`/var/lib/latchkey` where that folder is there, else `latchkeyd-data`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", f.name, flag, variable, value, f.help)
	}
	return b.String()
}

// TestDocument: docs/operating.md has every setting as it is.
func TestDocument(t *testing.T) {
	raw, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(raw), begin)
	have, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("docs/operating.md has no table between %q and %q", begin, end)
	}
	if *update {
		have = table()
		if err := os.WriteFile(document, []byte(before+begin+have+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(strings.Split(table(), "\n"), strings.Split(have, "\n")); diff != "" {
		t.Errorf("docs/operating.md is not up to date; go test ./internal/config -update (-settings +document):\n%s", diff)
	}
	if n := len(Default().fields()); strings.Count(have, "\n")-2 != n {
		t.Errorf("the document has %d settings, there are %d", strings.Count(have, "\n")-2, n)
	}
}
