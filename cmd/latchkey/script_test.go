package main

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"latchkey/internal/card/emulator"
	"latchkey/internal/scripttest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"latchkey": main, "desk": desk})
}

func TestScripts(t *testing.T) {
	scripttest.Run(t, map[string]scripttest.Command{"json": isJSON})
}

// isJSON FILE: it is one JSON value.
func isJSON(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 || json.Valid([]byte(ts.ReadFile(args[0]))) == neg {
		ts.Fatalf("usage: json FILE, or it is not JSON")
	}
}

// desk is the program at a desk with card readers in software. The variable
// DESK has a word for each: empty, locked, open, spent (its PUK too), iso7816 (a
// card of the profile generic-puk), several (PIV and OpenPGP).
func desk() {
	readers := emulator.NewReaders()
	for i, word := range strings.Fields(os.Getenv("DESK")) {
		name := []string{"Reader A", "Reader B"}[i]
		if word == "empty" {
			readers = emulator.NewReaders(name)
			continue
		}
		o := emulator.Options{PIN: "246813", PUK: "73519264"}
		switch word {
		case "iso7816":
			o.Family = emulator.FamilyISO7816
		case "several":
			o.Family = emulator.FamilyYubiKey
		}
		c, err := emulator.New(o)
		if err == nil && (word == "locked" || word == "spent") {
			err = c.Edit(func(s *emulator.State) {
				s.PINTries = 0
				if word == "spent" {
					s.PUKTries = 0
				}
			})
		}
		if err != nil {
			panic(err)
		}
		readers.Insert(name, c)
	}
	os.Exit(run(context.Background(), os.Args[1:], environment{in: os.Stdin, out: os.Stdout, err: os.Stderr,
		lookup: os.LookupEnv, machineFile: os.Getenv("MACHINE_FILE"), readers: readers}))
}
