package e2e

import (
	"strings"
	"testing"

	"latchkey/internal/card/pcsctest"
	"latchkey/internal/store/pgtest"
)

// databases runs a test on both databases.
func databases(t *testing.T, test func(t *testing.T, url string)) {
	t.Run("sqlite", func(t *testing.T) { test(t, "") })
	t.Run("postgres", func(t *testing.T) { test(t, pgtest.URL(t)) })
}

// TestUnlockInATerminal is the whole journey, twice, and what the tools of
// others say of the card afterwards.
func TestUnlockInATerminal(t *testing.T) {
	databases(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		out, err := w.try("", "latchkey", "status")
		if err != nil {
			t.Fatal(err, out)
		}
		w.contains(out, "locked")
		out = w.mustUnlock(passcode)
		if strings.Contains(out, passcode) {
			t.Errorf("the passcode is echoed:\n%s", out)
		}
		first := w.card()
		if first.PIN != passcode || first.PUK == oldPUK || first.PINTries != 3 || first.PUKTries != 3 {
			t.Errorf("the card holds %+v", first)
		}
		w.toolsAgree(first)

		w.must("", "latchkeyd", "audit", "verify")
		trail := w.must("", "latchkeyd", "audit", "export")
		w.contains(trail, "session.started", "session.identified", "code.sent", "code.delivered", "code.right", "key.stored",
			"key.released", "key.rotated", "session.unlocked")
		for name, secret := range map[string]string{"the passcode": passcode, "the old key": oldPUK, "the new key": first.PUK} {
			if strings.Contains(trail, secret) || strings.Contains(w.daemon.output.String(), secret) {
				t.Errorf("%s is in the trail or the log", name)
			}
		}

		// Again: the key of the first unlock is the current one now.
		w.vcard.stop()
		w.insert("--locked")
		w.mustUnlock("573920")
		if second := w.card(); second.PIN != "573920" || second.PUK == first.PUK || second.PUKTries != 3 {
			t.Errorf("after the second unlock the card holds %+v", second)
		}
	})
}

// toolsAgree asks OpenSC, yubico-piv-tool and ykman about the card.
func (w *world) toolsAgree(c cardState) {
	t := w.t
	t.Helper()
	reader := pcsctest.Reader
	w.contains(w.must("", "opensc-tool", "--list-readers"), reader)
	w.contains(w.must("", "yubico-piv-tool", "-r", reader, "-a", "verify-pin", "-P", passcode), "Successfully verified PIN")
	if out, err := w.try("", "yubico-piv-tool", "-r", reader, "-a", "unblock-pin", "-P", oldPUK, "-N", "111222"); err == nil {
		t.Errorf("the old PUK still works:\n%s", out)
	}
	w.must("", "yubico-piv-tool", "-r", reader, "-a", "change-puk", "-P", c.PUK, "-N", c.PUK) // and its tries are full again
	w.contains(w.must("", "pkcs15-tool", "--list-pins"), "PIN", "PUK")
	w.must("", "pkcs15-tool", "--verify-pin", "--pin", passcode)
	w.contains(w.must("", "ykman", "--reader", reader, "piv", "info"), "PIN tries remaining: 3/3", "CHUID")
	w.must("", "ykman", "--reader", reader, "piv", "access", "change-puk", "--puk", c.PUK, "--new-puk", c.PUK)
}
