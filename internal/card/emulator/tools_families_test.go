//go:build linux

package emulator_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"latchkey/internal/card"
	"latchkey/internal/card/emulator"
	"latchkey/internal/card/gids"
	"latchkey/internal/card/gids/gidskey"
	"latchkey/internal/card/openpgp"
	"latchkey/internal/card/pcsctest"
)

// certificate reads the PEM certificate in a tool's output.
func certificate(t *testing.T, out string) []byte {
	t.Helper()
	block, _ := pem.Decode([]byte(out[max(strings.Index(out, "-----BEGIN"), 0):]))
	if block == nil {
		t.Fatalf("no certificate in:\n%s", out)
	}
	if _, err := x509.ParseCertificate(block.Bytes); err != nil {
		t.Error(err)
	}
	return block.Bytes
}

func TestGIDSCardWithItsTools(t *testing.T) {
	t.Parallel()
	b := newBench(t, emulator.Options{Family: emulator.FamilyGIDS})
	b.must("", "opensc-tool", []string{"-n"}, "GIDS Smart Card")
	b.must("", "gids-tool", nil, "Found 6 entries", `mscp\kxc00`, "signature + decryption")
	b.must("", "pkcs15-tool", []string{"--dump"}, b.card.State().Identifier(), "Tries left     : 3", "X.509 Certificate")
	out := b.must("", "pkcs15-tool", []string{"--read-certificate", "00"})
	if !bytes.Equal(certificate(t, out), b.card.State().GIDS.Keys[0].Certificate) {
		t.Error("pkcs15-tool reads another certificate")
	}
	digest := b.write("digest", strings.Repeat("d", 32))
	signature := filepath.Join(b.home, "signature")
	b.must("", "pkcs15-crypt", []string{"--sign", "--key", "00", "--pin", "123456", "--sha-256", "--pkcs1", "--raw", "-i", digest, "-o", signature})
	b.must("", "pkcs15-tool", []string{"--read-public-key", "00", "-o", filepath.Join(b.home, "public.pem")})
	b.must("", "openssl", []string{"pkeyutl", "-verify", "-pubin", "-inkey", filepath.Join(b.home, "public.pem"), "-in", digest, "-sigfile", signature,
		"-pkeyopt", "rsa_padding_mode:pkcs1", "-pkeyopt", "digest:sha256"}, "Verified Successfully")

	for range 3 {
		b.fails("", "pkcs15-tool", "--verify-pin", "--pin", "999999")
	}
	b.must("", "pkcs15-tool", []string{"--dump"}, "Tries left     : 0")
	b.must("", "gids-tool", []string{"--unblock", "--admin-key", factoryKey, "--pin", "2468"}, "Unblock PIN done successfully")
	b.must("", "pkcs15-tool", []string{"--verify-pin", "--pin", "2468"})
	if out, _ := b.run("", "gids-tool", "--unblock", "--admin-key", anotherKey, "--pin", "1357"); strings.Contains(out, "done successfully") {
		t.Errorf("a wrong administration key unblocks:\n%s", out)
	}

	// What Latchkey does to the card, the tool confirms.
	b.alone(func() { unblockGIDS(t, b.card, factoryKey, anotherKey, "97531") })
	b.must("", "pkcs15-tool", []string{"--verify-pin", "--pin", "97531"})
	b.must("", "gids-tool", []string{"--unblock", "--admin-key", anotherKey, "--pin", "8642"}, "Unblock PIN done successfully")
}

// unblockGIDS unblocks a card as the service and the application do together.
func unblockGIDS(t testing.TB, e *emulator.Card, key, next, pin string) {
	t.Helper()
	ctx := t.Context()
	c, err := gids.Open(ctx, direct{e})
	if err != nil {
		t.Fatal(err)
	}
	secret, r1 := fromHex(t, key), []byte("0123456789abcdef")
	r2, err := c.MutualChallenge(ctx, r1)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := gidskey.Mutual(secret, r1, r2, []byte("7 bytes"))
	if err != nil {
		t.Fatal(err)
	}
	reply, err := c.MutualAnswer(ctx, answer)
	if err != nil {
		t.Fatal(err)
	}
	if err := gidskey.CheckMutual(secret, r1, r2, reply); err != nil {
		t.Error(err)
	}
	for _, err := range []error{c.RotateKey(ctx, fromHex(t, next)), c.UnblockAuthenticated(ctx, pin), c.EndAuthentication(ctx), c.Verify(ctx, pin)} {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestBlankGIDSCardIsInitialised(t *testing.T) {
	t.Parallel()
	b := newBench(t, emulator.Options{Family: emulator.FamilyGIDS, Blank: true})
	const id = "000102030405060708090a0b0c0d0e0f"
	b.must("", "gids-tool", []string{"--initialize", "--admin-key", factoryKey, "--pin", "4321", "--serial-number", id})
	b.must("", "gids-tool", nil, "Found 5 entries")
	b.must("", "pkcs15-tool", []string{"--dump"}, id, "Tries left     : 3")
	b.must("", "pkcs15-tool", []string{"--verify-pin", "--pin", "4321"})
	b.must("", "gids-tool", []string{"--change-admin-key", "--admin-key", factoryKey, "--new-admin-key", anotherKey})
	b.must("", "gids-tool", []string{"--unblock", "--admin-key", anotherKey, "--pin", "2468"}, "Unblock PIN done successfully")
	if g := b.card.State().GIDS; g.PIN != "2468" || g.AdminKey != anotherKey || !g.Initialised {
		t.Errorf("PIN %s, key %s, initialised %v", g.PIN, g.AdminKey, g.Initialised)
	}
	b.alone(func() {
		c, err := gids.Open(t.Context(), direct{b.card})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := c.Identity(t.Context()); err != nil || got.ID != id {
			t.Errorf("identity %v, %v", got, err)
		}
		if list, err := c.Certificates(t.Context()); err != nil || len(list) != 0 {
			t.Errorf("certificates %v, %v", list, err)
		}
	})
}

// gpg edits the card: lines are what would be typed.
func (b *bench) gpg(lines ...string) string {
	b.t.Helper()
	out, err := b.run(strings.Join(append(lines, "quit", ""), "\n"), "gpg", "--no-tty", "--command-fd", "0", "--status-fd", "1",
		"--pinentry-mode", "loopback", "--card-edit")
	if err != nil {
		b.t.Errorf("gpg %v: %v\n%s", lines, err, out)
	}
	return out
}

// gpgEnds stops what gpg has started, which otherwise keeps the card.
func (b *bench) gpgEnds() {
	b.t.Helper()
	b.must("", "gpgconf", []string{"--kill", "all"})
}

// openpgp does with the OpenPGP application what Latchkey would.
func (b *bench) openpgp(f func(*openpgp.Card) []error) {
	b.t.Helper()
	b.alone(func() {
		c, err := openpgp.Open(b.t.Context(), direct{b.card})
		if err != nil {
			b.t.Fatal(err)
		}
		for i, err := range f(c) {
			if err != nil {
				b.t.Fatalf("step %d: %v", i+1, err)
			}
		}
	})
}

func TestOpenPGPCardWithItsTools(t *testing.T) {
	t.Parallel()
	b := newBench(t, emulator.Options{Family: emulator.FamilyOpenPGP, Algorithm: "rsa2048", ResettingCode: "24682468"})
	b.must("", "opensc-tool", []string{"-n"}, "OpenPGP card v3.4")
	b.must("", "openpgp-tool", []string{"-C", "-U", "-K"}, "Version:         3.4", "Demonstration Latchkey", "Aut Algorithm:   RSA2048")
	b.must("", "pkcs15-tool", []string{"--dump"}, b.card.State().Identifier(), "PIN [User PIN]", "Private RSA Key [Authentication key]")
	b.must("", "pkcs15-tool", []string{"--verify-pin", "--auth-id", "02", "--pin", "123456"})
	out := b.must("", "pkcs15-tool", []string{"--read-certificate", "03"})
	if !bytes.Equal(certificate(t, out), b.card.State().OpenPGP.Objects["7F21"]) {
		t.Error("pkcs15-tool reads another certificate")
	}
	b.must("", "gpg", []string{"--card-status"}, "Version ..........: 3.4", "PIN retry counter : 3 3 3", "KDF setting ......: off", "Key attributes ...: rsa2048")
	b.gpgEnds()

	for range 3 {
		b.fails("", "openpgp-tool", "--verify", "CHV2", "--pin", "999999")
	}
	b.must("", "gpg", []string{"--card-status"}, "PIN retry counter : 0 3 3")
	if out := b.gpg("admin", "passwd", "2", "12345678", "654321", "654321", "q"); !strings.Contains(out, "SC_OP_SUCCESS") {
		t.Errorf("gpg could not unblock:\n%s", out)
	}
	b.gpgEnds()
	b.must("", "openpgp-tool", []string{"--verify", "CHV2", "--pin", "654321"})

	// What Latchkey does to the card, the tools confirm.
	b.openpgp(func(c *openpgp.Card) []error {
		return []error{
			c.Unblock(t.Context(), card.KeyAdminPIN, "12345678", "840261"),
			c.Rotate(t.Context(), card.KeyAdminPIN, "12345678", "73519264"),
			c.SetResettingCode(t.Context(), "73519264", "13571357"),
		}
	})
	b.must("", "openpgp-tool", []string{"--verify", "CHV2", "--pin", "840261"})
	b.must("", "openpgp-tool", []string{"--verify", "CHV3", "--pin", "73519264"})
	b.fails("", "openpgp-tool", "--verify", "CHV3", "--pin", "12345678")
}

// GnuPG sets up the derivation of PINs; Latchkey must derive as it does.
func TestKDFThatGnuPGSetUp(t *testing.T) {
	t.Parallel()
	b := newBench(t, emulator.Options{Family: emulator.FamilyOpenPGP, Algorithm: "ed25519"})
	b.gpg("admin", "kdf-setup", "12345678")
	b.must("", "gpg", []string{"--card-status"}, "KDF setting ......: on")
	b.gpgEnds()
	if len(b.card.State().OpenPGP.PIN) != 32 {
		t.Fatal("the card's PIN is not derived")
	}
	b.openpgp(func(c *openpgp.Card) []error {
		return []error{
			c.Verify(t.Context(), "123456"),
			c.Unblock(t.Context(), card.KeyAdminPIN, "12345678", "840261"),
			c.Rotate(t.Context(), card.KeyAdminPIN, "12345678", "73519264"),
			c.Verify(t.Context(), "840261"),
		}
	})
	if out := b.gpg("admin", "passwd", "2", "73519264", "975310", "975310", "q"); !strings.Contains(out, "SC_OP_SUCCESS") {
		t.Errorf("gpg could not unblock with the rotated admin PIN:\n%s", out)
	}
	b.gpgEnds()
	b.openpgp(func(c *openpgp.Card) []error { return []error{c.Verify(t.Context(), "975310")} })
}

func TestYubiKeyWithItsTools(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		options  emulator.Options
		piv, not string // what ykman says of PIV, and does not
	}{
		{"before metadata", emulator.Options{Firmware: "5.2.7"}, "PIN tries remaining: 3\n", "PIN tries remaining: 3/3"},
		{"with metadata", emulator.Options{Firmware: "5.4.3"}, "Management key algorithm: TDES", "PUK blocked"},
		{"taken over by the minidriver", emulator.Options{Firmware: "5.4.3", PUKDisabled: true}, "PUK blocked", "PUK tries remaining"},
		{"with AES", emulator.Options{Firmware: "5.7.1"}, "Management key algorithm: AES192", "PUK blocked"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.options.Family, c.options.Serial = emulator.FamilyYubiKey, 12345678
			b := newBench(t, c.options)
			const reader = pcsctest.Reader
			b.must("", "ykman", []string{"-r", reader, "info"}, "Firmware version: "+c.options.Firmware, "Serial number: 12345678", "OpenPGP     \tEnabled", "PIV         \tEnabled")
			out := b.must("", "ykman", []string{"-r", reader, "piv", "info"}, c.piv)
			if strings.Contains(out, c.not) {
				t.Errorf("ykman says %q:\n%s", c.not, out)
			}
			b.must("", "ykman", []string{"-r", reader, "openpgp", "info"}, "OpenPGP version: 3.4", "Application version: "+c.options.Firmware, "Admin PIN tries remaining: 3")
			b.must("", "yubico-piv-tool", []string{"-r", reader, "-a", "status"}, "Version:\t"+c.options.Firmware, "Serial Number:\t12345678")
			b.must("", "gpg", []string{"--card-status"}, "Manufacturer .....: Yubico", "Serial number ....: 12345678")
			b.gpgEnds()
			if c.options.PUKDisabled {
				b.fails("", "yubico-piv-tool", "-r", reader, "-a", "unblock-pin", "-P", "12345678", "-N", "654321")
				return
			}
			b.must("", "yubico-piv-tool", []string{"-r", reader, "-a", "unblock-pin", "-P", "12345678", "-N", "654321"})
			b.must("", "ykman", []string{"-r", reader, "piv", "access", "change-puk", "--puk", "12345678", "--new-puk", "87654321"})
			if s := b.card.State(); s.PIN != "654321" || s.PUK != "87654321" || s.OpenPGP.PIN.String() != "123456" {
				t.Errorf("PIN %s, PUK %s, OpenPGP %s", s.PIN, s.PUK, s.OpenPGP.PIN)
			}
			if err := os.Remove(filepath.Join(b.home, "pubring.kbx")); err != nil {
				t.Errorf("gpg did not run in the test's own folder: %v", err)
			}
		})
	}
}
