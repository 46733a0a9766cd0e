//go:build linux

package emulator_test

import (
	"testing"

	"latchkey/internal/card/emulator"
)

func TestTryGIDS(t *testing.T) {
	b := newBench(t, emulator.Options{Family: emulator.FamilyGIDS})
	for _, c := range [][]string{{"gids-tool"}, {"opensc-tool", "-n"}, {"pkcs15-tool", "--dump"}, {"pkcs15-tool", "--read-certificate", "00"},
		{"pkcs15-tool", "--read-public-key", "00"}, {"pkcs15-tool", "--verify-pin", "--pin", "123456"},
		{"gids-tool", "-U", "--admin-key", "010203040506070801020304050607080102030405060708", "--pin", "9999"}, {"pkcs15-tool", "--verify-pin", "--pin", "9999"}} {
		out, err := b.run("", c[0], c[1:]...)
		t.Logf("%v: %v\n%s", c, err, out)
	}
}
func TestTryBlank(t *testing.T) {
	b := newBench(t, emulator.Options{Family: emulator.FamilyGIDS, Blank: true})
	for _, c := range [][]string{{"gids-tool", "-X", "--admin-key", "010203040506070801020304050607080102030405060709", "--pin", "4321", "--serial-number", "000102030405060708090a0b0c0d0e0f"}, {"gids-tool"}, {"pkcs15-tool", "--dump"},
		{"gids-tool", "-U", "--admin-key", "010203040506070801020304050607080102030405060709", "--pin", "9999"}, {"pkcs15-tool", "--verify-pin", "--pin", "9999"},
		{"gids-tool", "-C", "--admin-key", "010203040506070801020304050607080102030405060709", "--new-admin-key", "aa0203040506070801020304050607080102030405060709"}} {
		out, err := b.run("", c[0], c[1:]...)
		t.Logf("%v: %v\n%s", c, err, out)
	}
	t.Log(b.card.State().GIDS)
}
func TestTryOpenPGP(t *testing.T) {
	b := newBench(t, emulator.Options{Family: emulator.FamilyOpenPGP, Algorithm: "rsa2048", ResettingCode: "99999999"})
	for _, c := range [][]string{{"opensc-tool", "-n"}, {"openpgp-tool", "-C", "-U", "-K"}, {"pkcs15-tool", "--dump"}, {"openpgp-tool", "--verify", "CHV2", "--pin", "123456"}, {"openpgp-tool", "--verify", "CHV3", "--pin", "12345678"}, {"gpg", "--card-status"}, {"gpgconf", "--kill", "all"}} {
		out, err := b.run("", c[0], c[1:]...)
		t.Logf("%v: %v\n%s", c, err, out)
	}
}
func TestTryYubiKey(t *testing.T) {
	for _, fw := range []string{"5.4.3", "5.7.1", "5.2.7"} {
		b := newBench(t, emulator.Options{Family: emulator.FamilyYubiKey, Firmware: fw})
		for _, c := range [][]string{{"ykman", "info"}, {"ykman", "piv", "info"}, {"ykman", "openpgp", "info"}, {"yubico-piv-tool", "-r", "", "-a", "status"}, {"gpg", "--card-status"}, {"gpgconf", "--kill", "all"}} {
			out, err := b.run("", c[0], c[1:]...)
			t.Logf("%s %v: %v\n%s", fw, c, err, out)
		}
	}
}
