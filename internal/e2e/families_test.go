package e2e

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"latchkey/internal/card/emulator"
	"latchkey/internal/card/pcsctest"
)

// newCardWorld is an installation with a locked card of any family.
func newCardWorld(t *testing.T, cardFlags ...string) *world {
	t.Helper()
	w := &world{t: t, folder: t.TempDir(), stack: pcsctest.Start(t)}
	w.state, w.mail = filepath.Join(w.folder, "card.json"), filepath.Join(w.folder, "mail")
	w.must("", "latchkeyd", "init")
	w.insert(append([]string{"--pin", "246813", "--locked"}, cardFlags...)...)
	w.enrol()
	w.serve(freeAddress(t))
	return w
}

// whole is everything on the card.
func (w *world) whole() (c emulator.State) {
	w.t.Helper()
	if err := json.Unmarshal([]byte(w.must("", "vcard", "show", "--json", "--state", w.state)), &c); err != nil {
		w.t.Fatal(err)
	}
	return c
}

const gidsKey = "010203040506070801020304050607080102030405060708"

// TestUnlockAGIDSCard: the answer to its challenge unlocks it, its key stays in
// the service and is as it was, and OpenSC agrees. Twice, for what the first
// time proves is asked for from then on.
func TestUnlockAGIDSCard(t *testing.T) {
	for name, flags := range map[string][]string{"mutual": nil, "external": {"--external-only"}} {
		t.Run(name, func(t *testing.T) {
			w := newCardWorld(t, append([]string{"--family", "gids"}, flags...)...)
			for _, fresh := range []string{passcode, "573920"} {
				w.mustUnlock(fresh)
				w.must("", "pkcs15-tool", "--verify-pin", "--pin", fresh)
				if c := w.whole().GIDS; c == nil || c.AdminKey != gidsKey {
					t.Fatalf("the card holds %+v", c)
				}
				trail := w.must("", "latchkeyd", "audit", "export")
				w.contains(trail, `"action":"answer"`, `"proven":"true"`)
				if strings.Contains(trail+w.daemon.output.String(), gidsKey) {
					t.Error("the administration key is in the trail or the log")
				}
				w.vcard.stop()
				w.insert("--locked")
			}
		})
	}
}

// TestRotateTheKeyOfAGIDSCard: where the policy wants it, each unlock replaces the
// administration key, and the one before is of no use.
func TestRotateTheKeyOfAGIDSCard(t *testing.T) {
	w := newCardWorld(t, "--family", "gids")
	w.daemon.stop()
	w.settings = append(w.settings, "LATCHKEYD_ROTATE_ADMINISTRATION_KEYS=true")
	w.serve(freeAddress(t))
	before := gidsKey
	for _, fresh := range []string{passcode, "573920"} {
		w.mustUnlock(fresh)
		after := w.whole().GIDS.AdminKey
		if after == before {
			t.Error("the administration key is the old one")
		}
		if out, _ := w.try("", "gids-tool", "--unblock", "--admin-key", before, "--pin", "111222"); strings.Contains(out, "done successfully") {
			t.Errorf("the old key still works:\n%s", out)
		}
		w.contains(w.must("", "gids-tool", "--unblock", "--admin-key", after, "--pin", fresh), "Unblock PIN done successfully")
		before = after
		w.vcard.stop()
		w.insert("--locked")
	}
	w.contains(w.must("", "latchkeyd", "audit", "export"), "key.rotated")
}

// TestUnlockAnOpenPGPCard with the key that the escrow has. The admin PIN is
// replaced, a resetting code stays.
func TestUnlockAnOpenPGPCard(t *testing.T) {
	w := newCardWorld(t, "--family", "openpgp", "--alg", "rsa2048")
	before := w.whole().OpenPGP.AdminPIN.String()
	w.mustUnlock(passcode)
	after := w.whole().OpenPGP.AdminPIN.String()
	if after == before {
		t.Error("the admin PIN that was used is still the card's")
	}
	w.must("", "openpgp-tool", "--verify", "CHV2", "--pin", passcode)
	w.must("", "openpgp-tool", "--verify", "CHV3", "--pin", after)
	if out, err := w.try("", "openpgp-tool", "--verify", "CHV3", "--pin", before); err == nil {
		t.Errorf("the old admin PIN still works:\n%s", out)
	}
	w.vcard.stop()
	w.insert("--locked")
	w.mustUnlock("573920")
	w.contains(w.must("", "latchkeyd", "audit", "export"), "key.rotated")
}

// TestUnlockACardByItsProfile: a card that follows no family of its own is
// described by a profile.
func TestUnlockACardByItsProfile(t *testing.T) {
	w := newCardWorld(t, "--family", "iso7816", "--puk", oldPUK)
	w.settings = append(w.settings, "LATCHKEY_CARD_PROFILES=generic-puk")
	for _, fresh := range []string{passcode, "573920"} {
		w.mustUnlock(fresh)
		w.contains(w.must("", "vcard", "show", "--state", w.state), fresh+", 3 tries left")
		w.vcard.stop()
		w.insert("--locked")
	}
}
