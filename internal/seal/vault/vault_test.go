package vault

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"latchkey/internal/problem"
	"latchkey/internal/seal"
	"latchkey/internal/store"
	"latchkey/internal/store/storetest"
)

const theToken = "hvs.test-token"

// standIn answers as Vault's transit engine does by its documentation (HTTP
// API, Transit secrets engine), for one key. There is no Vault to test with.
type standIn struct {
	mu        sync.Mutex
	versions  [][]byte // AES-256 keys
	fail      int      // status of every answer; 0: none
	failure   string
	namespace string
	calls     []string
	// answer replaces the data of the next answers.
	answer map[string]any
}

func (s *standIn) rotate() {
	s.versions = append(s.versions, bytes.Repeat([]byte{byte(len(s.versions) + 1)}, 32))
}

func (s *standIn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, r.Method+" "+r.URL.Path)
	refuse := func(status int, text string) {
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]any{"errors": []string{text}})
	}
	switch {
	case s.fail != 0:
		refuse(s.fail, s.failure)
		return
	case r.Header.Get("X-Vault-Token") != theToken || r.Header.Get("X-Vault-Namespace") != s.namespace:
		refuse(http.StatusForbidden, "permission denied")
		return
	}
	var body struct {
		Plaintext  []byte `json:"plaintext"`
		Ciphertext string `json:"ciphertext"`
		Associated []byte `json:"associated_data"`
	}
	if r.Method != http.MethodGet {
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil && !strings.HasSuffix(r.URL.Path, "/rotate") {
			refuse(http.StatusBadRequest, "error parsing JSON")
			return
		}
	}
	data, status, text := s.do(strings.TrimPrefix(r.URL.Path, "/v1/transit/"), body.Plaintext, body.Ciphertext, body.Associated)
	if text != "" {
		refuse(status, text)
		return
	}
	if s.answer != nil {
		data = s.answer
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"request_id": "1", "data": data})
}

func (s *standIn) do(path string, plain []byte, sealed string, associated []byte) (data map[string]any, status int, text string) {
	nonce := make([]byte, 12)
	switch path {
	case "keys/latchkey":
		return map[string]any{"latest_version": len(s.versions), "type": "aes256-gcm96"}, 0, ""
	case "keys/latchkey/rotate":
		s.rotate()
		return map[string]any{"latest_version": len(s.versions)}, 0, ""
	case "encrypt/latchkey":
		out := aead(s.versions[len(s.versions)-1]).Seal(nil, nonce, plain, associated)
		return map[string]any{"ciphertext": fmt.Sprintf("vault:v%d:%s", len(s.versions), base64.StdEncoding.EncodeToString(out)), "key_version": len(s.versions)}, 0, ""
	case "decrypt/latchkey":
		var version int
		var rest string
		if _, err := fmt.Sscanf(strings.ReplaceAll(sealed, ":", " "), "vault v%d %s", &version, &rest); err != nil || version < 1 || version > len(s.versions) {
			return nil, http.StatusBadRequest, "invalid ciphertext: version is too new"
		}
		raw, err := base64.StdEncoding.DecodeString(rest)
		if err != nil {
			return nil, http.StatusBadRequest, "invalid ciphertext: could not decode base64"
		}
		out, err := aead(s.versions[version-1]).Open(nil, nonce, raw, associated)
		if err != nil {
			return nil, http.StatusBadRequest, err.Error()
		}
		return map[string]any{"plaintext": base64.StdEncoding.EncodeToString(out)}, 0, ""
	}
	return nil, http.StatusNotFound, "no handler for route"
}

func aead(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	a, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return a
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func code(t testing.TB, err error, want problem.Code) {
	t.Helper()
	if problem.CodeOf(err) != want {
		t.Errorf("got %v, want %q", err, want)
	}
	if err != nil && (strings.Contains(err.Error(), theToken) || strings.Contains(err.Error(), "BwcHBwcH")) {
		t.Errorf("the error has a secret in it: %v", err)
	}
}

func start(t testing.TB) (*standIn, Options) {
	t.Helper()
	s := &standIn{}
	s.rotate()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return s, Options{Address: server.URL, Token: theToken, Mount: "transit", Key: "latchkey"}
}

func open(t testing.TB, o Options) *Provider {
	t.Helper()
	p, err := New(o)
	must(t, err)
	t.Cleanup(func() { must(t, p.Close()) })
	return p
}

func TestWrapAndUnwrap(t *testing.T) {
	s, o := start(t)
	p := open(t, o)
	secret := bytes.Repeat([]byte{7}, 32)
	v1, one, err := p.Wrap(t.Context(), secret, "a")
	must(t, err)
	v2, err := p.Rotate(t.Context())
	must(t, err)
	newest, err := p.Newest(t.Context())
	must(t, err)
	v, two, err := p.Wrap(t.Context(), secret, "a")
	must(t, err)
	if v1 != "v1" || v2 != "v2" || v != v2 || newest != v2 {
		t.Errorf("%s, %s, %s, %s", v1, v2, v, newest)
	}
	for version, wrapped := range map[string][]byte{v1: one, v2: two} {
		if got, err := p.Unwrap(t.Context(), version, wrapped, "a"); err != nil || !bytes.Equal(got, secret) {
			t.Errorf("%s: %x, %v", version, got, err)
		}
	}
	_, err = p.Unwrap(t.Context(), v1, one, "b")
	code(t, err, problem.KeyWrong)
	_, err = p.Unwrap(t.Context(), v2, one, "a") // it says itself what it is
	code(t, err, problem.KeyWrong)
	_, err = p.Unwrap(t.Context(), "v9", []byte("vault:v9:AAAA"), "a")
	code(t, err, problem.KeyWrong)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.calls) < 6 || s.calls[0] != "PUT /v1/transit/encrypt/latchkey" {
		t.Errorf("%v", s.calls)
	}
}

// TestFaults: what Vault's answers come to. Those that pass by are tried again
// once.
func TestFaults(t *testing.T) {
	for _, test := range []struct {
		status int
		text   string
		want   problem.Code
		calls  int
	}{
		{http.StatusForbidden, "permission denied", problem.ProviderRefused, 1},
		{http.StatusNotFound, "no handler for route", problem.ProviderRefused, 1},
		{http.StatusBadRequest, "encryption key not found", problem.ProviderRefused, 1},
		{http.StatusBadRequest, "cipher: message authentication failed", problem.KeyWrong, 1},
		{http.StatusBadRequest, "ciphertext or signature version is disallowed by policy (too old)", problem.KeyWrong, 1},
		{http.StatusServiceUnavailable, "Vault is sealed", problem.ProviderGone, 2},
		{http.StatusInternalServerError, "internal error", problem.ProviderGone, 2},
	} {
		s, o := start(t)
		p := open(t, o)
		_, wrapped, err := p.Wrap(t.Context(), make([]byte, 32), "a")
		must(t, err)
		s.mu.Lock()
		s.fail, s.failure, s.calls = test.status, test.text+" "+theToken, nil
		s.mu.Unlock()
		_, err = p.Unwrap(t.Context(), "v1", wrapped, "a")
		code(t, err, test.want)
		s.mu.Lock()
		if len(s.calls) != test.calls {
			t.Errorf("%s: %d calls", test.text, len(s.calls))
		}
		s.mu.Unlock()
	}
	_, o := start(t)
	o.Token = "another"
	_, _, err := open(t, o).Wrap(t.Context(), make([]byte, 32), "a")
	code(t, err, problem.ProviderRefused)
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	_, err = open(t, Options{Address: server.URL, Token: theToken, Mount: "transit", Key: "latchkey"}).Newest(t.Context())
	code(t, err, problem.ProviderGone)
}

// TestStrangeAnswers: whatever comes, an error and no panic.
func TestStrangeAnswers(t *testing.T) {
	for _, answer := range []map[string]any{{}, {"ciphertext": 7, "plaintext": 7, "latest_version": "x"}, {"ciphertext": "", "plaintext": "%"},
		{"ciphertext": "vault:v1"}, {"ciphertext": "vault:x:y"}, {"ciphertext": "vault:vx:y"}, {"ciphertext": "other:v1:y"}} {
		s, o := start(t)
		p := open(t, o)
		_, wrapped, err := p.Wrap(t.Context(), make([]byte, 32), "a")
		must(t, err)
		s.mu.Lock()
		s.answer = answer
		s.mu.Unlock()
		_, _, err = p.Wrap(t.Context(), make([]byte, 32), "a")
		code(t, err, problem.ProviderGone)
		_, err = p.Newest(t.Context())
		code(t, err, problem.ProviderGone)
		_, err = p.Unwrap(t.Context(), "v1", wrapped, "a")
		code(t, err, problem.ProviderGone)
	}
}

func TestOptions(t *testing.T) {
	full := Options{Address: "https://vault.example.org", Token: "t", Mount: "transit", Key: "k"}
	for _, change := range []func(*Options){func(o *Options) { o.Address = "" }, func(o *Options) { o.Token = "" }, func(o *Options) { o.Mount = "" }, func(o *Options) { o.Key = "" }} {
		o := full
		change(&o)
		_, err := New(o)
		code(t, err, problem.ProviderMissing)
	}
	full.CAFile = filepath.Join(t.TempDir(), "none.pem")
	_, err := New(full)
	code(t, err, problem.ConfigInvalid)
}

// TestTLSAndNamespace: the authority that is set is the one that is trusted.
func TestTLSAndNamespace(t *testing.T) {
	s := &standIn{namespace: "team"}
	s.rotate()
	server := httptest.NewUnstartedServer(s)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of clients that do not trust it
	server.StartTLS()
	t.Cleanup(server.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	must(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600))
	o := Options{Address: server.URL, Token: theToken, Mount: "/transit/", Key: "latchkey", Namespace: "team", CAFile: ca}
	if v, err := open(t, o).Newest(t.Context()); err != nil || v != "v1" {
		t.Errorf("%q, %v", v, err)
	}
	o.CAFile = ""
	_, err := open(t, o).Newest(t.Context())
	code(t, err, problem.ProviderGone)
}

// TestDatabase: a database whose data keys are wrapped by Vault opens while
// Vault is there, and is not taken for another's while it is not.
func TestDatabase(t *testing.T) {
	s, o := start(t)
	db, err := store.Open(t.Context(), storetest.SQLite(t), store.Options{Node: "test"})
	must(t, err)
	defer db.Close()
	providers := seal.Providers{open(t, o)}
	keys, err := seal.Open(t.Context(), db, providers)
	must(t, err)
	sealed, err := keys.Seal("kind", []string{"row"}, []byte("text"))
	must(t, err)
	again, err := seal.Open(t.Context(), db, providers)
	must(t, err)
	if got, err := again.Open("kind", []string{"row"}, sealed); err != nil || string(got) != "text" {
		t.Errorf("%q, %v", got, err)
	}
	s.mu.Lock()
	s.fail, s.failure = http.StatusServiceUnavailable, "Vault is sealed"
	s.mu.Unlock()
	_, err = seal.Open(t.Context(), db, providers)
	code(t, err, problem.ProviderGone)
	if got, err := again.Open("kind", []string{"row"}, sealed); err != nil || string(got) != "text" { // a node that runs goes on
		t.Errorf("%q, %v", got, err)
	}
}
