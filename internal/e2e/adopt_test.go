package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"latchkey/internal/card/pcsctest"
)

// newAdoptionWorld is an installation that has cardholders and no card: those
// are as they left the factory.
func newAdoptionWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, folder: t.TempDir(), stack: pcsctest.Start(t)}
	w.state, w.mail = filepath.Join(w.folder, "card.json"), filepath.Join(w.folder, "mail")
	w.must("", "latchkeyd", "init")
	w.write("holders.csv", "staff_number,name,email\n1001,Sam Taylor,"+email+"\n1002,Kim Lee,kim.lee@example.org\n")
	w.must("", "latchkeyd", "import", "cardholders", filepath.Join(w.folder, "holders.csv"))
	return w
}

func (w *world) write(name, text string) string {
	w.t.Helper()
	path := filepath.Join(w.folder, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return path
}

// TestAdoptThenUnlock: a card with the key of its maker is adopted, gets locked,
// and its cardholder unlocks it. The tools of others say what is on it.
func TestAdoptThenUnlock(t *testing.T) {
	for name, test := range map[string]struct {
		flags []string
		key   string // what the card leaves the factory with
		is    func(w *world) string
		works func(w *world, key string) bool
	}{
		"YubiKey": {[]string{"--family", "yubikey"}, "12345678", func(w *world) string { return w.card().PUK }, func(w *world, key string) bool {
			_, err := w.try("", "yubico-piv-tool", "-r", "Latchkey virtual reader", "-a", "change-puk", "-P", key, "-N", key)
			return err == nil
		}},
		"GIDS": {[]string{"--family", "gids"}, gidsKey, func(w *world) string { return w.whole().GIDS.AdminKey }, func(w *world, key string) bool {
			out, _ := w.try("", "gids-tool", "--unblock", "--admin-key", key, "--pin", "246813")
			return strings.Contains(out, "Unblock PIN done successfully")
		}},
		"OpenPGP": {[]string{"--family", "openpgp", "--alg", "rsa2048"}, "12345678", func(w *world) string { return w.whole().OpenPGP.AdminPIN.String() }, func(w *world, key string) bool {
			_, err := w.try("", "openpgp-tool", "--verify", "CHV3", "--pin", key)
			return err == nil
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newAdoptionWorld(t)
			w.insert(append([]string{"--pin", "246813"}, test.flags...)...)
			out := w.must("", "latchkeyd", "card", "adopt", "--holder", "1001", "--factory")
			w.contains(out, "The card of Sam Taylor (", " has its own unlocking key now.")
			key := test.is(w)
			if key == test.key || !test.works(w, key) || test.works(w, test.key) {
				t.Error("the card holds no key of its own")
			}
			again := w.must("", "latchkeyd", "card", "adopt", "--holder", "1001")
			w.contains(again, "was adopted before")
			trail := w.must("", "latchkeyd", "audit", "export")
			w.contains(trail, `"card.adopted"`, `"by":"`)
			if strings.Contains(out+again+trail, key) {
				t.Error("the key was shown")
			}
			w.vcard.stop()
			w.insert("--locked")
			w.serve(freeAddress(t))
			w.mustUnlock(passcode)
			w.contains(w.must("", "latchkeyd", "audit", "export"), `"action":"session.unlocked"`)
		})
	}
}

// TestAdoptACardByItsProfile, whose key comes from standard input.
func TestAdoptACardByItsProfile(t *testing.T) {
	w := newAdoptionWorld(t)
	w.insert("--family", "iso7816", "--puk", oldPUK, "--pin", "246813")
	adopt := []string{"card", "adopt", "--holder", "1001", "--card-profiles", "generic-puk"}
	out, err := w.try("99999999\n", "latchkeyd", adopt...)
	if err == nil || !strings.Contains(out, "LK-7301") {
		t.Errorf("a wrong key: %v\n%s", err, out)
	}
	w.contains(w.must(oldPUK+"\n", "latchkeyd", adopt...), "has its own unlocking key now")
	if strings.Contains(w.must("", "vcard", "show", "--state", w.state), oldPUK) {
		t.Error("the card has the old key")
	}
}

// TestAdoptABatch through the real reader service: two cards, one after another.
func TestAdoptABatch(t *testing.T) {
	w := newAdoptionWorld(t)
	list := w.write("list.csv", "staff_number\n1001\n1002\n")
	report := filepath.Join(w.folder, "report.csv")
	p := w.start("Put in the card of Sam Taylor (1 of 2).", "latchkeyd", "card", "adopt", "--batch", list, "--factory", "--report", report)
	w.insert()
	if err := p.output.wait("Take the card out.", patience, p.ended); err != nil {
		t.Fatal(err)
	}
	w.vcard.stop()
	if err := p.output.wait("Put in the card of Kim Lee (2 of 2).", patience, p.ended); err != nil {
		t.Fatal(err)
	}
	first := w.state
	w.state = filepath.Join(w.folder, "second.json")
	w.insert()
	<-p.ended
	w.contains(p.output.String(), "2 cards: 2 adopted, 0 adopted before, 0 not adopted, 0 not reached.")
	raw, err := os.ReadFile(report)
	if err != nil || strings.Count(string(raw), ",adopted,") != 2 {
		t.Errorf("the report is %v\n%s", err, raw)
	}
	for _, w.state = range []string{w.state, first} {
		if w.card().PUK == "12345678" {
			t.Error("a card has the key of the factory")
		}
	}
}
