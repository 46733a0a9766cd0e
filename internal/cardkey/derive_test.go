package cardkey

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	raw, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestKDF: the same as OpenSSL 3 gives (openssl kdf ... KBKDF, mode COUNTER).
func TestKDF(t *testing.T) {
	master, context := unhex(t, "000102030405060708090a0b0c0d0e0f"), unhex(t, "00112233445566778899aabbccddeeff")
	for _, test := range []struct{ method, want string }{
		{MethodHMAC, "04c5df3790dda35c"},
		{MethodHMAC, "b4e25749a0362b2fad6a5b9c0bf813a8cba55039c18ce4be"},
		{MethodHMAC, "3762ea318aa7bf864638413bb55cc77385094bbfa54ff62e04424fa896b13c0f"},
		{MethodHMAC, "24c2c80bd89a16c64bae967621bc805ca32ed255a9aa85540421ee178015900cb3777c4891f8b8d1806bad57b5bd0316"},
		{MethodCMAC, "2412fb179a0c1d49"},
		{MethodCMAC, "082c3173d91cec8a2707af21eb410841a9ff60d00258d5f9"},
		{MethodCMAC, "7bfcc51e2df260269dad2571fcf3a96935e8be2f3e21108ece83c3c580c2d84e"},
		{MethodCMAC, "b795962b7bfabdd058a7bb3bfd460140c4717869addb07d6cf21e0f19e48a921a9c105d4b68c4d376ed4f78cfb8f84d8"},
	} {
		got, err := counterKDF(test.method, master, []byte("label"), context, len(test.want)/2)
		if err != nil || hex.EncodeToString(got) != test.want {
			t.Errorf("%s, %d bytes: %x, %v", test.method, len(test.want)/2, got, err)
		}
	}
}

// TestCMAC: the examples of RFC 4493 section 4.
func TestCMAC(t *testing.T) {
	key := unhex(t, "2b7e151628aed2a6abf7158809cf4f3c")
	message := unhex(t, "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710")
	for n, want := range map[int]string{0: "bb1d6929e95937287fa37d129b756746", 16: "070a16b46b4d4144f79bdd9dd04a287c",
		40: "dfa66747de9ae63030ca32611497c827", 64: "51f0bebf7e3b9d92fc49741779363cfe"} {
		got, err := cmac(key, message[:n])
		if err != nil || hex.EncodeToString(got) != want {
			t.Errorf("%d bytes: %x, %v", n, got, err)
		}
	}
}

// TestDerivedKeysAreApart: no two cards, families, kinds, labels, methods or
// master keys give the same key, and each has the form of its kind.
func TestDerivedKeysAreApart(t *testing.T) {
	seen := map[string]string{}
	derive := func(method, master, label, kind, family, identifier string) {
		name := fmt.Sprint(method, master, label, kind, family, identifier)
		key, err := Derive(method, []byte(master), label, kind, family, identifier)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := Check(kind, key); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if other, twice := seen[string(key)]; twice {
			t.Errorf("%s is as %s", name, other)
		}
		seen[string(key)] = name
		if again, err := Derive(method, []byte(master), label, kind, family, identifier); err != nil || !bytes.Equal(again, key) {
			t.Errorf("%s: not the same again: %v", name, err)
		}
	}
	master := strings.Repeat("m", 16)
	for _, kind := range Kinds() {
		for _, id := range []string{"0123456789abcdef0123456789abcdef", "0123456789ABCDEF0123456789ABCDEF", "card 1"} {
			derive(MethodHMAC, master, "a", kind, "piv", id)
		}
		derive(MethodHMAC, master, "a", kind, "gids", "card 1")
		derive(MethodHMAC, master, "b", kind, "piv", "card 1")
		derive(MethodHMAC, strings.Repeat("n", 16), "a", kind, "piv", "card 1")
		derive(MethodCMAC, master, "a", kind, "piv", "card 1")
	}
}

func TestMasterKeys(t *testing.T) {
	for n := range 70 {
		key := make([]byte, n)
		if ok := CheckMaster(MethodHMAC, key) == nil; ok != (n >= 16 && n <= 64) {
			t.Errorf("HMAC with %d bytes: %v", n, ok)
		}
		if ok := CheckMaster(MethodCMAC, key) == nil; ok != (n == 16 || n == 24 || n == 32) {
			t.Errorf("CMAC with %d bytes: %v", n, ok)
		}
	}
	if _, err := Derive("md5", make([]byte, 16), "l", PUK, "piv", "1"); !errors.Is(err, ErrMaster) {
		t.Errorf("a method that is none: %v", err)
	}
	if _, err := Derive(MethodHMAC, make([]byte, 16), "l", "pin", "piv", "1"); !errors.Is(err, ErrKind) {
		t.Errorf("a kind that is none: %v", err)
	}
	id := MasterID(MethodHMAC, "ab", []byte("c"))
	if again := MasterID(MethodHMAC, "ab", []byte("c")); again != id || MasterID(MethodHMAC, "a", []byte("bc")) == id || MasterID(MethodCMAC, "ab", []byte("c")) == id {
		t.Error("the ids of master keys")
	}
}

// TestNewKeys: each kind's own form, never the same, DES keys with odd parity
// and three different parts.
func TestNewKeys(t *testing.T) {
	for _, kind := range Kinds() {
		var all []string
		for range 50 {
			key, err := New(kind)
			if err != nil || Check(kind, key) != nil {
				t.Fatalf("%s: %v", kind, err)
			}
			all = append(all, string(key))
			if Leaves(kind) && (len(key) != 8 || strings.Trim(string(key), "0123456789") != "") {
				t.Errorf("%s: not eight digits", kind)
			}
			for _, b := range key {
				if kind == Admin3DES && bits.OnesCount8(b)%2 == 0 {
					t.Errorf("%s: byte %08b has even parity", kind, b)
				}
			}
			if kind == Admin3DES && weak(key) {
				t.Errorf("%s is weak", kind)
			}
		}
		slices.Sort(all)
		if n := len(slices.Compact(all)); n < 49 {
			t.Errorf("%s: %d different ones of 50", kind, n)
		}
		if Rotates(kind) && !Leaves(kind) {
			t.Errorf("%s is changed by a workstation that does not get it", kind)
		}
	}
	if _, err := New("pin"); !errors.Is(err, ErrKind) {
		t.Errorf("a kind that is none: %v", err)
	}
}

func TestWeakKeys(t *testing.T) {
	a, b, c := strings.Repeat("a", 8), strings.Repeat("b", 8), strings.Repeat("c", 8)
	for key, want := range map[string]bool{a + b + c: false, a + a + c: true, a + b + b: true, a + b + a: true} {
		if weak([]byte(key)) != want {
			t.Errorf("%s: %v", key, !want)
		}
	}
}

// TestForms: what is taken as a key in files, without a word of it in errors.
func TestForms(t *testing.T) {
	for _, test := range []struct {
		kind, text string
		ok         bool
	}{
		{PUK, "123456", true}, {PUK, "12345678", true}, {PUK, "12345", false}, {PUK, "123456789", false}, {PUK, "1234 678", false}, {PUK, "1234567é", false},
		{AdminPIN, "12345678", true}, {AdminPIN, "1234567", false}, {ResettingCode, strings.Repeat("9", 127), true}, {ResettingCode, strings.Repeat("9", 128), false},
		{Admin3DES, strings.Repeat("0f", 24), true}, {Admin3DES, "0F:" + strings.Repeat("0f ", 23), true}, {Admin3DES, strings.Repeat("0f", 23), false}, {Admin3DES, strings.Repeat("0g", 24), false},
		{AdminAES128, strings.Repeat("ab", 16), true}, {AdminAES192, strings.Repeat("ab", 24), true}, {AdminAES256, strings.Repeat("ab", 32), true}, {AdminAES256, "", false},
		{"pin", "12345678", false},
	} {
		key, err := Parse(test.kind, test.text)
		if (err == nil) != test.ok {
			t.Errorf("%s %q: %v", test.kind, test.text, err)
		}
		if err != nil && test.text != "" && strings.Contains(err.Error(), test.text) {
			t.Errorf("the error has the key: %v", err)
		}
		if err == nil && Check(test.kind, key) != nil {
			t.Errorf("%s %q does not pass again", test.kind, test.text)
		}
	}
}

func TestDerivedIsUniform(t *testing.T) {
	// 100 PUKs of one master key: each digit of each place is about as frequent.
	rapid.Check(t, func(t *rapid.T) {
		master := rapid.SliceOfN(rapid.Byte(), 16, 64).Draw(t, "master")
		count := map[byte]int{}
		for i := range 100 {
			key, err := Derive(MethodHMAC, master, "l", PUK, "piv", fmt.Sprint(i))
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range key {
				count[d]++
			}
		}
		for d := byte('0'); d <= '9'; d++ { // 800 digits: 80 each, and 8.5 standard deviations
			if count[d] < 8 || count[d] > 152 {
				t.Fatalf("digit %c: %d of 800", d, count[d])
			}
		}
	})
}
