package gidskey_test

import (
	"bytes"
	"crypto/cipher"
	"crypto/des"
	"encoding/hex"
	"errors"
	"os/exec"
	"strings"
	"testing"

	"latchkey/internal/card/gids/gidskey"
)

const (
	key = "0123456789abcdef23456789abcdef01456789abcdef0123"
	r1  = "101112131415161718191a1b1c1d1e1f"
	r2  = "202122232425262728292a2b2c2d2e2f"
	z1  = "31323334353637"
)

func raw(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// openssl enciphers with the same key, in another program.
func openssl(t *testing.T, mode string, plain []byte) []byte {
	t.Helper()
	args := []string{"enc", mode, "-K", key, "-nopad"}
	if strings.HasSuffix(mode, "cbc") {
		args = append(args, "-iv", "0000000000000000")
	}
	c := exec.Command("openssl", args...)
	c.Stdin = bytes.NewReader(plain)
	out, err := c.Output()
	if err != nil {
		t.Fatalf("openssl: %v", err)
	}
	return out
}

func TestAnswerIsWhatOpenSSLComputes(t *testing.T) {
	t.Parallel()
	got, err := gidskey.Answer(raw(t, key), raw(t, r1)[:8])
	if err != nil || !bytes.Equal(got, openssl(t, "-des-ede3", raw(t, r1)[:8])) {
		t.Errorf("got %X, %v", got, err)
	}
}

func TestMutualIsWhatOpenSSLComputes(t *testing.T) {
	t.Parallel()
	got, err := gidskey.Mutual(raw(t, key), raw(t, r1), raw(t, r2), raw(t, z1))
	if err != nil || !bytes.Equal(got, openssl(t, "-des-ede3-cbc", raw(t, r2+r1+z1+"80"))) {
		t.Errorf("got %X, %v", got, err)
	}
	// Why a mutual answer is as good as an external one: see the package.
	external, err := gidskey.Answer(raw(t, key), raw(t, r2)[:8])
	if err != nil || !bytes.Equal(got[:8], external) {
		t.Errorf("first block %X, external answer %X, %v", got[:8], external, err)
	}
}

// reply is the card's message for a plain text.
func reply(t testing.TB, with, plain string) []byte {
	t.Helper()
	block, err := des.NewTripleDESCipher(raw(t, with))
	if err != nil {
		t.Fatal(err)
	}
	b := raw(t, plain)
	cipher.NewCBCEncrypter(block, make([]byte, 8)).CryptBlocks(b, b)
	return b
}

func TestCheckMutual(t *testing.T) {
	t.Parallel()
	const other = "ffffffffffffffff23456789abcdef01456789abcdef0123"
	ours, err := gidskey.Mutual(raw(t, key), raw(t, r1), raw(t, r2), raw(t, z1))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		reply  []byte
		r1, r2 string
		want   error
	}{
		"right":               {reply(t, key, r1+r2+"41424344454647"+"80"), r1, r2, nil},
		"another key":         {reply(t, other, r1+r2+"41424344454647"+"80"), r1, r2, gidskey.ErrNotProven},
		"our own message":     {ours, r1, r2, gidskey.ErrNotProven},
		"another r1":          {reply(t, key, r2+r2+"41424344454647"+"80"), r1, r2, gidskey.ErrNotProven},
		"another r2":          {reply(t, key, r1+r1+"41424344454647"+"80"), r1, r2, gidskey.ErrNotProven},
		"no padding":          {reply(t, key, r1+r2+"4142434445464700"), r1, r2, gidskey.ErrNotProven},
		"a block short":       {reply(t, key, r1+r2), r1, r2, gidskey.ErrNotProven},
		"nothing":             {nil, r1, r2, gidskey.ErrNotProven},
		"the same nonce":      {reply(t, key, r1+r1+"41424344454647"+"80"), r1, r1, gidskey.ErrReflected},
		"a nonce that is cut": {reply(t, key, r1+r2+"41424344454647"+"80"), r1[:30], r2, gidskey.ErrLength},
	} {
		if err := gidskey.CheckMutual(raw(t, key), raw(t, c.r1), raw(t, c.r2), c.reply); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestWhatIsRefused(t *testing.T) {
	t.Parallel()
	k, a, b, z := raw(t, key), raw(t, r1), raw(t, r2), raw(t, z1)
	for name, c := range map[string]struct {
		call func() error
		want error
	}{
		"a key of 16 bytes":         {func() error { _, err := gidskey.Answer(k[:16], a[:8]); return err }, gidskey.ErrKey},
		"a challenge of 16 bytes":   {func() error { _, err := gidskey.Answer(k, a); return err }, gidskey.ErrLength},
		"no challenge":              {func() error { _, err := gidskey.Answer(k, nil); return err }, gidskey.ErrLength},
		"mutual with no key":        {func() error { _, err := gidskey.Mutual(nil, a, b, z); return err }, gidskey.ErrKey},
		"mutual with a short r1":    {func() error { _, err := gidskey.Mutual(k, a[:8], b, z); return err }, gidskey.ErrLength},
		"mutual with a short r2":    {func() error { _, err := gidskey.Mutual(k, a, b[:8], z); return err }, gidskey.ErrLength},
		"mutual with 8 bytes of z1": {func() error { _, err := gidskey.Mutual(k, a, b, a[:8]); return err }, gidskey.ErrLength},
		"our own nonce":             {func() error { _, err := gidskey.Mutual(k, a, a, z); return err }, gidskey.ErrReflected},
		"check with no key":         {func() error { return gidskey.CheckMutual(nil, a, b, nil) }, gidskey.ErrKey},
	} {
		if err := c.call(); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestKeysThatAreSingleDESInDisguise(t *testing.T) {
	t.Parallel()
	const a, b, c, aParity = "0123456789abcdef", "23456789abcdef01", "456789abcdef0123", "0022446688aaccee"
	for text, good := range map[string]bool{
		a + b + c: true, a + b + a: true, a + a + c: false, a + c + c: false, a + a + a: false,
		a + aParity + c: false, a + b: false, "": false,
	} {
		if err := gidskey.Check(raw(t, text)); (err == nil) != good {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestNewDrawsAgainUntilTheKeyIsGood(t *testing.T) {
	t.Parallel()
	got, err := gidskey.New(bytes.NewReader(append(make([]byte, 24), raw(t, key)...)))
	if err != nil || !bytes.Equal(got, raw(t, key)) {
		t.Errorf("got %X, %v", got, err)
	}
	if _, err := gidskey.New(bytes.NewReader(make([]byte, 40))); err == nil {
		t.Error("a key was drawn from nothing")
	}
}

func FuzzCheckMutual(f *testing.F) {
	f.Add(make([]byte, 40), make([]byte, 16))
	f.Add([]byte{}, []byte{1})
	k, a := raw(f, key), raw(f, r1)
	f.Fuzz(func(t *testing.T, reply, nonce []byte) {
		if err := gidskey.CheckMutual(k, a, nonce, reply); err == nil {
			t.Fatalf("%X passed for %X without the key", reply, nonce)
		}
	})
}
