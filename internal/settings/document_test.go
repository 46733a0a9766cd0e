package settings

import (
	"os"
	"reflect"
	"strings"
	"testing"
)

// TestDocument: docs/operating.md names every setting of the application, as
// flag, variable and key of the machine's file.
func TestDocument(t *testing.T) {
	raw, err := os.ReadFile("../../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	for f := range reflect.TypeFor[Settings]().Fields() {
		name := f.Tag.Get("name")
		words := []string{"`--" + name + "`"}
		if variable := f.Tag.Get("env"); variable != "" {
			words = append(words, "`"+variable+"`", "`"+strings.ReplaceAll(name, "-", "_")+"`")
		}
		for _, word := range words {
			if !strings.Contains(string(raw), word) {
				t.Errorf("docs/operating.md does not tell of %s", word)
			}
		}
	}
	for _, goos := range []string{"linux", "darwin", "windows"} {
		path := MachineFile(goos, func(string) string { return "%ProgramData%" })
		if goos == "windows" { // the test may run elsewhere
			path = `%ProgramData%\Latchkey\latchkey.toml`
		}
		if !strings.Contains(string(raw), path) {
			t.Errorf("docs/operating.md does not tell of %s", path)
		}
	}
}
