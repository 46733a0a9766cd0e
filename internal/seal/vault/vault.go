// Package vault is the key provider of HashiCorp Vault's transit secrets
// engine: the key-encryption key never leaves Vault, which wraps and unwraps
// data keys with it.
//
// The token needs, for a mount "transit" and a key "latchkey":
//
//	path "transit/keys/latchkey"        { capabilities = ["read"] }
//	path "transit/encrypt/latchkey"     { capabilities = ["update"] }
//	path "transit/decrypt/latchkey"     { capabilities = ["update"] }
//	path "transit/keys/latchkey/rotate" { capabilities = ["update"] }  # for keys rotate-kek alone
//
// The key must be of type aes256-gcm96, and exist. What a data key is wrapped
// for goes in as associated data.
package vault

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"

	"latchkey/internal/problem"
)

// Name is the provider's name.
const Name = "vault"

// patience is how long one call may take.
const patience = 5 * time.Second

// Options of New.
type Options struct {
	Address   string // https://..., or http:// on loopback
	Token     string
	Namespace string // "" for none
	CAFile    string // "" for the system's
	Mount     string
	Key       string
}

// Provider is a seal.Provider.
type Provider struct {
	client     *api.Client
	mount, key string
}

// New makes a Provider. Nothing is asked of Vault yet. Nothing is read from
// the environment either: what counts is in the settings.
func New(o Options) (*Provider, error) {
	if o.Address == "" || o.Token == "" || o.Mount == "" || o.Key == "" {
		return nil, problem.Wrap(problem.ProviderMissing, errors.New("vault needs an address, a token, a mount and a key"))
	}
	c := api.DefaultConfig()
	if c.Error != nil {
		return nil, problem.Wrap(problem.ConfigInvalid, fmt.Errorf("vault: %w", c.Error))
	}
	c.Address, c.AgentAddress, c.Timeout = o.Address, "", patience
	c.MaxRetries = 1
	c.MinRetryWait, c.MaxRetryWait = 50*time.Millisecond, 200*time.Millisecond
	c.Logger = nil
	if o.CAFile != "" {
		if err := c.ConfigureTLS(&api.TLSConfig{CACert: o.CAFile}); err != nil {
			return nil, problem.Wrap(problem.ConfigInvalid, fmt.Errorf("vault's certificate authority: %w", err))
		}
	}
	client, err := api.NewClient(c)
	if err != nil {
		return nil, problem.Wrap(problem.ConfigInvalid, fmt.Errorf("vault: %w", err))
	}
	client.SetToken(o.Token)
	client.SetNamespace(o.Namespace)
	return &Provider{client, strings.Trim(o.Mount, "/"), o.Key}, nil
}

// Name is the provider's name.
func (*Provider) Name() string { return Name }

// Newest is the latest version of the key: "v2".
func (p *Provider) Newest(ctx context.Context) (string, error) {
	s, err := p.client.Logical().ReadWithContext(ctx, p.mount+"/keys/"+p.key)
	if err != nil {
		return "", fault(err)
	}
	if s == nil {
		return "", problem.Wrap(problem.ProviderRefused, fmt.Errorf("there is no key %q", p.key))
	}
	n, ok := s.Data["latest_version"].(json.Number)
	if !ok {
		return "", problem.Wrap(problem.ProviderGone, errors.New("the answer has no latest_version"))
	}
	return "v" + n.String(), nil
}

// Wrap encrypts a data key with the latest version.
func (p *Provider) Wrap(ctx context.Context, secret []byte, what string) (string, []byte, error) {
	text, err := p.call(ctx, "encrypt", "ciphertext", map[string]any{
		"plaintext":       base64.StdEncoding.EncodeToString(secret),
		"associated_data": base64.StdEncoding.EncodeToString([]byte(what))})
	if err != nil {
		return "", nil, err
	}
	f := strings.SplitN(text, ":", 3) // vault:v2:...
	if len(f) != 3 || f[0] != "vault" || len(f[1]) < 2 || f[1][0] != 'v' {
		return "", nil, problem.Wrap(problem.ProviderGone, errors.New("the answer has no ciphertext of transit"))
	}
	if _, err := strconv.Atoi(f[1][1:]); err != nil {
		return "", nil, problem.Wrap(problem.ProviderGone, errors.New("the ciphertext has no version"))
	}
	return f[1], []byte(text), nil
}

// Unwrap decrypts a data key. The version is part of what Vault gave.
func (p *Provider) Unwrap(ctx context.Context, version string, wrapped []byte, what string) ([]byte, error) {
	if !strings.HasPrefix(string(wrapped), "vault:"+version+":") {
		return nil, problem.Wrap(problem.KeyWrong, fmt.Errorf("it was not wrapped with version %s", version))
	}
	text, err := p.call(ctx, "decrypt", "plaintext", map[string]any{
		"ciphertext":      string(wrapped),
		"associated_data": base64.StdEncoding.EncodeToString([]byte(what))})
	if err != nil {
		return nil, err
	}
	secret, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, problem.Wrap(problem.ProviderGone, errors.New("the answer's plaintext is not base64"))
	}
	return secret, nil
}

// Rotate makes a newer version.
func (p *Provider) Rotate(ctx context.Context) (string, error) {
	if _, err := p.client.Logical().WriteWithContext(ctx, p.mount+"/keys/"+p.key+"/rotate", nil); err != nil {
		return "", fault(err)
	}
	return p.Newest(ctx)
}

// Close does nothing.
func (*Provider) Close() error { return nil }

// call does one call of the key and gives one member of the answer.
func (p *Provider) call(ctx context.Context, what, member string, body map[string]any) (string, error) {
	s, err := p.client.Logical().WriteWithContext(ctx, p.mount+"/"+what+"/"+p.key, body)
	if err != nil {
		return "", fault(err)
	}
	if s != nil {
		if text, ok := s.Data[member].(string); ok {
			return text, nil
		}
	}
	return "", problem.Wrap(problem.ProviderGone, fmt.Errorf("the answer has no %s", member))
}

// fault says what an error of Vault is. Its body may quote the request, so it
// does not go on.
func fault(err error) error {
	var r *api.ResponseError
	if !errors.As(err, &r) {
		return problem.Wrap(problem.ProviderGone, err)
	}
	short := fmt.Errorf("vault answered %d to %s", r.StatusCode, r.HTTPMethod)
	text := strings.Join(r.Errors, " ")
	switch {
	case r.StatusCode == http.StatusForbidden, r.StatusCode == http.StatusUnauthorized, r.StatusCode == http.StatusNotFound:
		return problem.Wrap(problem.ProviderRefused, short)
	case r.StatusCode == http.StatusBadRequest && (strings.Contains(text, "authentication failed") || strings.Contains(text, "version")):
		return problem.Wrap(problem.KeyWrong, short) // of another key, or of a version that was given up
	case r.StatusCode == http.StatusBadRequest:
		return problem.Wrap(problem.ProviderRefused, short)
	}
	return problem.Wrap(problem.ProviderGone, short) // sealed, busy, on standby
}
