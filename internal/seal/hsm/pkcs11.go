//go:build pkcs11

package hsm

import (
	"context"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ThalesGroup/crypto11"

	"latchkey/internal/problem"
	"latchkey/internal/seal"
)

const (
	keyBits = 256
	// patience is how long to wait for one of the token's sessions.
	patience = 5 * time.Second
)

// provider is a seal.Provider. It connects when it is first used, and again
// after the module was away.
type provider struct {
	o  Options
	mu sync.Mutex
	c  *crypto11.Context
}

// New makes the provider of a module. Nothing is asked of it yet. Error:
// problem.ProviderMissing.
func New(o Options) (seal.Provider, error) {
	if o.Module == "" || o.Token == "" || o.PIN == "" || o.Key == "" {
		return nil, problem.Wrap(problem.ProviderMissing, errors.New("pkcs11 needs a module, a token, a PIN and a key"))
	}
	return &provider{o: o}, nil
}

// Name is the provider's name.
func (*provider) Name() string { return Name }

// with runs fn with a connection. One on which something failed is given up.
func (p *provider) with(fn func(c *crypto11.Context) error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.c == nil {
		c, err := crypto11.Configure(&crypto11.Config{Path: p.o.Module, TokenLabel: p.o.Token, Pin: p.o.PIN, PoolWaitTimeout: patience})
		if err != nil {
			return fault(err)
		}
		p.c = c
	}
	err := fn(p.c)
	if problem.CodeOf(err) == problem.ProviderGone {
		_ = p.c.Close() // it is of no use any more, whatever this says
		p.c = nil
	}
	return err
}

// The module's errors by what they mean; all others: it cannot be reached. Some
// come as text only (crypto11), so they are known by their names.
var (
	refusals = []string{"CKR_PIN_INCORRECT", "CKR_PIN_LOCKED", "CKR_PIN_EXPIRED", "CKR_PIN_INVALID", "CKR_PIN_LEN_RANGE",
		"CKR_KEY_FUNCTION_NOT_PERMITTED", "CKR_MECHANISM_INVALID", "CKR_USER_TYPE_INVALID"}
	// SoftHSM says CKR_GENERAL_ERROR where a tag is wrong.
	mismatches = []string{"CKR_ENCRYPTED_DATA_INVALID", "CKR_ENCRYPTED_DATA_LEN_RANGE", "CKR_GENERAL_ERROR"}
)

// fault says what an error of the module is.
func fault(err error) error {
	var p *problem.Problem
	if err == nil || errors.As(err, &p) {
		return err
	}
	has := func(name string) bool { return strings.Contains(err.Error(), name) }
	switch {
	case slices.ContainsFunc(refusals, has):
		return problem.Wrap(problem.ProviderRefused, err)
	case slices.ContainsFunc(mismatches, has):
		return problem.Wrap(problem.KeyWrong, err)
	}
	return problem.Wrap(problem.ProviderGone, err)
}

// find gives the number of the highest version that the token has, and the key
// of a version: of the highest for "".
func (p *provider) find(c *crypto11.Context, version string) (highest int, key *crypto11.SecretKey, err error) {
	keys, err := c.FindKeys(nil, []byte(p.o.Key))
	if err != nil {
		return 0, nil, fault(err)
	}
	for _, k := range keys {
		id, err := c.GetAttribute(k, crypto11.CkaId)
		if err != nil {
			return 0, nil, fault(err)
		}
		n, err := strconv.Atoi(strings.TrimPrefix(string(id.Value), "v"))
		if err != nil {
			continue // not one of ours
		}
		if highest = max(highest, n); string(id.Value) == version || version == "" && n == highest {
			key = k
		}
	}
	return highest, key, nil
}

func name(version int) string { return "v" + strconv.Itoa(version) }

// Newest is the highest version of the key: "v2". The first is made where
// there is none.
func (p *provider) Newest(context.Context) (version string, err error) {
	err = p.with(func(c *crypto11.Context) error {
		n, _, err := p.find(c, "")
		if err == nil && n == 0 {
			n, err = 1, p.generate(c, 1)
		}
		version = name(n)
		return err
	})
	return version, err
}

func (p *provider) generate(c *crypto11.Context, version int) error {
	_, err := c.GenerateSecretKeyWithLabel([]byte(name(version)), []byte(p.o.Key), keyBits, crypto11.CipherAES)
	return fault(err)
}

// Rotate makes a newer version.
func (p *provider) Rotate(context.Context) (version string, err error) {
	err = p.with(func(c *crypto11.Context) error {
		n, _, err := p.find(c, "")
		if err != nil {
			return err
		}
		version = name(n + 1)
		return p.generate(c, n+1)
	})
	return version, err
}

// Wrap encrypts a data key with the newest version: nonce and ciphertext.
func (p *provider) Wrap(ctx context.Context, secret []byte, what string) (version string, wrapped []byte, err error) {
	if version, err = p.Newest(ctx); err != nil {
		return "", nil, err
	}
	err = p.gcm(version, func(aead cipher.AEAD) error {
		nonce := make([]byte, aead.NonceSize())
		_, _ = rand.Read(nonce) // never fails: it ends the program instead (crypto/rand)
		wrapped = append(nonce, aead.Seal(nil, nonce, secret, []byte(what))...)
		return nil
	})
	return version, wrapped, err
}

// Unwrap decrypts a data key.
func (p *provider) Unwrap(_ context.Context, version string, wrapped []byte, what string) (secret []byte, err error) {
	err = p.gcm(version, func(aead cipher.AEAD) error {
		n := aead.NonceSize()
		if len(wrapped) < n {
			return problem.Wrap(problem.KeyWrong, errors.New("the wrapped key is too short"))
		}
		var err error
		secret, err = aead.Open(nil, wrapped[:n], wrapped[n:], []byte(what))
		return fault(err)
	})
	return secret, err
}

// gcm runs fn with a version's AEAD.
func (p *provider) gcm(version string, fn func(cipher.AEAD) error) error {
	return p.with(func(c *crypto11.Context) (err error) {
		_, key, err := p.find(c, version)
		if err != nil {
			return err
		}
		if key == nil {
			return problem.Wrap(problem.KeyWrong, fmt.Errorf("the token has no version %s of the key", version))
		}
		aead, err := key.NewGCM()
		if err != nil {
			return fault(err)
		}
		defer recovered(&err)
		return fn(aead)
	})
}

// recovered turns the panic of an AEAD that cannot return an error into one.
func recovered(err *error) {
	if r := recover(); r != nil {
		*err = problem.Wrap(problem.ProviderGone, fmt.Errorf("the module failed: %v", r))
	}
}

// Close gives the connection up.
func (p *provider) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.c == nil {
		return nil
	}
	err := p.c.Close()
	p.c = nil
	return err
}
