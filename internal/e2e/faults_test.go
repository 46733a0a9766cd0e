package e2e

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestOtherCards unlocks cards that are not like the first.
func TestOtherCards(t *testing.T) {
	for name, flags := range map[string][]string{
		"plain PIV":       {"--plain"},
		"RSA keys":        {"--alg", "rsa2048"},
		"no 9E":           {"--plain", "--no-9e"},
		"four of eleven":  {"--pin-tries", "11", "--puk-tries", "4"},
		"a slow one":      {"--delay", "30ms"},
		"with no history": {"--history"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "", flags...)
			w.mustUnlock(passcode)
			if c := w.card(); c.PIN != passcode || c.PUK == oldPUK {
				t.Errorf("the card holds %+v", c)
			}
		})
	}
}

// TestCardPulledInARealReader takes the card out at commands all over the
// journey; it comes back after a moment, and the journey goes on.
func TestCardPulledInARealReader(t *testing.T) {
	for _, n := range []string{"22", "34"} {
		t.Run("command "+n, func(t *testing.T) {
			w := newWorld(t, "", "--tear-after", n, "--back-after", "700ms")
			out := w.mustUnlock(passcode)
			if !strings.Contains(w.vcard.output.String(), "taken out") {
				t.Errorf("the card was never taken out:\n%s\n%s", w.vcard.output, out)
			}
		})
	}
}

// TestServiceKilledMidway: a session outlives a power cut of the service.
func TestServiceKilledMidway(t *testing.T) {
	databases(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		address := strings.TrimPrefix(w.service, "http://")
		out, err := w.unlockWith(passcode, func() {
			w.daemon.kill()
			w.serve(address)
		})
		if err != nil || !strings.Contains(out, "Your smartcard is unlocked.") {
			t.Fatalf("%v\n%s", err, out)
		}
		w.must("", "latchkeyd", "audit", "verify")
	})
}

// TestWrongThings says what is wrong with a code and a next step, and spends
// nothing of the card.
func TestWrongThings(t *testing.T) {
	w := newWorld(t, "")
	before := w.card()
	out, err := w.try("", "latchkey", "unlock", "--service", "http://"+freeAddress(t), "--email", email)
	w.fails(out, err, "LK-6002")
	out, err = w.try("1\n2\n3\n4\n5\n", "latchkey", "unlock", "--email", email)
	w.fails(out, err, "LK-3005")
	out, err = w.try("", "latchkey", "unlock", "--reader", "No such reader", "--email", email)
	w.fails(out, err, "LK-1002")
	w.vcard.stop()
	out, err = w.try("", "latchkey", "status")
	w.fails(out, err, "LK-1003")
	if after := w.card(); after != before {
		t.Errorf("the card held %+v, and now %+v", before, after)
	}
}

func (w *world) fails(out string, err error, code string) {
	w.t.Helper()
	if err == nil || !strings.Contains(out, code) || strings.Contains(out, "goroutine ") {
		w.t.Errorf("%v, want %s:\n%s", err, code, out)
	}
}

// TestDemo walks through the demo in a browser, unattended. Nothing is left.
func TestDemo(t *testing.T) {
	check := filepath.Join(programs, "democheck")
	if out, err := exec.Command("go", "build", "-o", check, "latchkey/internal/demo/check").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	c := exec.Command(check, "--latchkeyd", filepath.Join(programs, "latchkeyd"))
	temporary := t.TempDir()
	c.Env = append(c.Environ(), "TMPDIR="+temporary)
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	kill := time.AfterFunc(2*patience, func() { _ = c.Process.Kill() })
	defer kill.Stop()
	if err := c.Wait(); err != nil || !strings.Contains(out.String(), "SUCCESS") {
		t.Fatalf("%v\n%s", err, out.String())
	}
	if left, err := filepath.Glob(filepath.Join(temporary, "*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}
