// Package scripttest runs the programs' scripts (testdata/script/*.txtar).
//
// Beside testscript's own, scripts have these commands:
//
//	problem CODE PROGRAM ARG...   fails with exit status 1 and CODE with its
//	                              title and next step on standard error
//	fault PROGRAM ARG...          the same for a program without codes
//	usage PROGRAM ARG...          refuses its command line with status 2
//	tamper DATABASE SQL           changes an SQLite database behind our back
//
// The first three make sure that nothing looks like a crash and that no text
// named in the variable SECRETS, apart by commas, is shown.
package scripttest

import (
	"database/sql"
	"errors"
	"maps"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"latchkey/internal/problem"
)

// Command is a command of scripts.
type Command = func(ts *testscript.TestScript, neg bool, args []string)

// Run runs the scripts beside the test, with commands of its own if wanted.
// Programs find no PC/SC service and no service.
func Run(t *testing.T, own map[string]Command) {
	all := map[string]Command{"problem": wantProblem, "fault": fault, "usage": usage, "tamper": tamper}
	maps.Copy(all, own)
	testscript.Run(t, testscript.Params{Dir: filepath.Join("testdata", "script"), Cmds: all, RequireUniqueNames: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", filepath.Join(e.WorkDir, "home"))
			e.Setenv("PCSCLITE_CSOCK_NAME", filepath.Join(e.WorkDir, "no-such-socket"))
			return nil
		}})
}

// run runs a program that is to end with a status, and gives what it says.
func run(ts *testscript.TestScript, status int, command []string) string {
	if len(command) == 0 {
		ts.Fatalf("which program?")
	}
	err := ts.Exec(command[0], command[1:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != status {
		ts.Fatalf("exit status %d, want %d", got, status)
	}
	said := ts.ReadFile("stderr")
	if crash.MatchString(said) {
		ts.Fatalf("that looks like a crash")
	}
	for secret := range strings.SplitSeq(ts.Getenv("SECRETS"), ",") {
		if secret != "" && strings.Contains(said+ts.ReadFile("stdout"), secret) {
			ts.Fatalf("it shows the secret %s", secret)
		}
	}
	return said
}

var crash = regexp.MustCompile(`panic|goroutine \d|\.go:\d|%!|<nil>|0xc0`)

func wantProblem(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: problem CODE PROGRAM ARG...")
	}
	e, ok := problem.Lookup(problem.Code(args[0]))
	if !ok {
		ts.Fatalf("there is no code %s", args[0])
	}
	said := run(ts, 1, args[1:])
	want := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(string(e.Code)+" "+e.Title) + `\n  \S.*\n  ` + regexp.QuoteMeta(e.Next) + `$`)
	if !want.MatchString(said) {
		ts.Fatalf("it does not say %s, what happened and what to do next", e.Code)
	}
}

func fault(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("usage: fault PROGRAM ARG...")
	}
	if said := run(ts, 1, args); !strings.HasPrefix(said, args[0]+": ") {
		ts.Fatalf("it does not say what is wrong")
	}
}

func usage(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("usage: usage PROGRAM ARG...")
	}
	said := run(ts, 2, args)
	if !strings.HasPrefix(said, args[0]+": ") || !strings.HasSuffix(said, "\n  "+args[0]+" --help shows what can be given.\n") {
		ts.Fatalf("it does not say what is wrong and where to find help")
	}
}

func tamper(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: tamper DATABASE SQL")
	}
	db, err := sql.Open("sqlite", ts.MkAbs(args[0]))
	ts.Check(err)
	result, err := db.Exec(args[1])
	ts.Check(errors.Join(err, db.Close()))
	if n, err := result.RowsAffected(); n == 0 || err != nil {
		ts.Fatalf("nothing was changed: %v", err)
	}
}
