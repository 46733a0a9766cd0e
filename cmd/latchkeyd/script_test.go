package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"latchkey/internal/face/facetest"
	"latchkey/internal/scripttest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"latchkeyd": main})
}

func TestScripts(t *testing.T) {
	scripttest.Run(t, map[string]scripttest.Command{"jsonlines": jsonLines, "photo": photo, "cardca": cardCA})
}

// photo NAME FILE: writes the profile photo of one of facetest's people.
func photo(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: photo NAME FILE")
	}
	f, err := facetest.ReadFace(args[0])
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), f.Photo, 0o600))
}

// jsonLines FILE FIELD...: every line is one JSON object with these fields.
func jsonLines(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: jsonlines FILE FIELD...")
	}
	lines := bufio.NewScanner(strings.NewReader(ts.ReadFile(args[0])))
	n := 0
	for ; lines.Scan(); n++ {
		var object map[string]any
		d := json.NewDecoder(bytes.NewReader(lines.Bytes()))
		if err := d.Decode(&object); err != nil || d.More() {
			ts.Fatalf("line %d is not one JSON object: %v", n+1, err)
		}
		for _, field := range args[1:] {
			if object[field] == nil {
				ts.Fatalf("line %d has no %s", n+1, field)
			}
		}
	}
	ts.Check(lines.Err())
	if n == 0 {
		ts.Fatalf("there are no lines")
	}
}
