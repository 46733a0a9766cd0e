//go:build linux

package emulator_test

import (
	"testing"

	"latchkey/internal/card"
	"latchkey/internal/card/emulator"
	"latchkey/internal/card/iso7816"
)

func TestProfileCardWithItsTools(t *testing.T) {
	t.Parallel()
	b := newBench(t, emulator.Options{Family: emulator.FamilyISO7816, Serial: 12345678})
	// OpenSC's driver of cards that it does not know by name is off otherwise.
	b.env = []string{"OPENSC_CONF=" + b.write("opensc.conf", "app default { enable_default_driver = true; }\n")}
	b.must("", "pkcs15-tool", []string{"--dump"}, "Serial number  : 0012345678", "PIN [PIN]", "PIN [PUK]", "Reference      : 1 (0x01)", "Auth ID        : 02")
	b.must("", "pkcs15-tool", []string{"--verify-pin", "--auth-id", "01", "--pin", "123456"})
	for range 3 {
		b.fails("", "pkcs15-tool", "--verify-pin", "--auth-id", "01", "--pin", "999999")
	}
	if left := b.card.State().ISO.PINTries; left != 0 {
		t.Fatalf("%d tries of the PIN are left", left)
	}
	b.must("", "pkcs15-tool", []string{"--unblock-pin", "--auth-id", "01", "--puk", "12345678", "--new-pin", "2468"})
	b.must("", "pkcs15-tool", []string{"--verify-pin", "--auth-id", "01", "--pin", "2468"})

	// What Latchkey does to the card, the tool confirms.
	b.alone(func() {
		profiles, err := iso7816.Load("generic-puk")
		if err != nil {
			t.Fatal(err)
		}
		c, err := iso7816.Open(t.Context(), direct{b.card}, profiles[0])
		if err != nil {
			t.Fatal(err)
		}
		for i, err := range []error{c.Unblock(t.Context(), card.KeyPUK, "12345678", "840261"), c.Rotate(t.Context(), card.KeyPUK, "12345678", "73519264"),
			c.Verify(t.Context(), "840261")} {
			if err != nil {
				t.Fatalf("step %d: %v", i+1, err)
			}
		}
	})
	b.must("", "pkcs15-tool", []string{"--verify-pin", "--auth-id", "01", "--pin", "840261"})
	b.must("", "pkcs15-tool", []string{"--unblock-pin", "--auth-id", "01", "--puk", "73519264", "--new-pin", "97531"})
	b.must("", "pkcs15-tool", []string{"--change-pin", "--auth-id", "01", "--pin", "97531", "--new-pin", "13579"})
	if s := b.card.State().ISO; s.PIN != "13579" || s.PUK != "73519264" || s.PUKTries != 3 {
		t.Errorf("PIN %s, PUK %s, %d tries", s.PIN, s.PUK, s.PUKTries)
	}
}
