package seal

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"latchkey/internal/problem"
)

// A key file is lines of text: what it is, a colon, 32 bytes in base64. That of
// the key-encryption key has one line for each version, the newest last.
const (
	kekPrefix     = "latchkey-kek-v1:"
	servicePrefix = "latchkey-service-key-v1:"
	maxKeyFile    = 16 << 10
)

// Create makes a fresh key-encryption key and writes it to path, mode 0600. The
// keyring stands on that key itself. When it returns, file and folder entry are
// on the disk. A file that is there already is left alone: problem.KeyExists.
func Create(path string) (*Keyring, error) {
	secret := newSecret()
	if err := writeKey(path, kekPrefix, secret); err != nil {
		return nil, err
	}
	return newKeyring(secret), nil
}

// Load reads the versions of the key-encryption key. Errors:
// problem.KeyMissing, problem.KeyWrong for a file that is no such key or that
// others may read.
func Load(path string) (*Keyring, error) {
	secrets, err := readKeys(path, kekPrefix)
	if err != nil {
		return nil, err
	}
	return newKeyring(secrets...), nil
}

// CreateSigningKey makes the service's Ed25519 key (RFC 8032), with the care
// of Create.
func CreateSigningKey(path string) (ed25519.PrivateKey, error) {
	secret := newSecret()
	if err := writeKey(path, servicePrefix, secret); err != nil {
		return nil, err
	}
	return ed25519.NewKeyFromSeed(secret), nil
}

// LoadSigningKey reads the service's Ed25519 key; errors as those of Load.
func LoadSigningKey(path string) (ed25519.PrivateKey, error) {
	secrets, err := readKeys(path, servicePrefix)
	if err != nil {
		return nil, err
	}
	if len(secrets) > 1 {
		return nil, problem.Wrap(problem.KeyWrong, fmt.Errorf("%s has more than one key", path))
	}
	return ed25519.NewKeyFromSeed(secrets[0]), nil
}

func newSecret() []byte {
	secret := make([]byte, keySize)
	_, _ = rand.Read(secret) // never fails: it ends the program instead (crypto/rand)
	return secret
}

// writeKey writes a key file that must not be there yet. A file that could not
// be completed is removed: nothing was sealed with it.
func writeKey(path, prefix string, secret []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return problem.Wrap(problem.KeyExists, err)
	}
	if err != nil {
		return fmt.Errorf("create key file: %w", err)
	}
	if err := fill(f, keyLine(prefix, secret)); err != nil {
		return fmt.Errorf("write key file: %w", errors.Join(err, os.Remove(path)))
	}
	return syncFolder(filepath.Dir(path))
}

func keyLine(prefix string, secret []byte) string {
	return prefix + base64.StdEncoding.EncodeToString(secret) + "\n"
}

// fill writes a file to the disk and closes it.
func fill(f *os.File, text string) error {
	_, err := f.WriteString(text)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// addKey puts one more version into a key file: the whole file is written
// beside it and takes its place, so that there is one or the other at any time.
func addKey(path, prefix string, secret []byte) error {
	have, err := readKeys(path, prefix)
	if err != nil {
		return err
	}
	var text strings.Builder
	for _, s := range append(have, secret) {
		text.WriteString(keyLine(prefix, s))
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return fmt.Errorf("write key file: %w", err)
	}
	err = fill(f, text.String())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write key file: %w", errors.Join(err, os.Remove(f.Name())))
	}
	return syncFolder(filepath.Dir(path))
}

// syncFolder makes the entry of a new file survive a power cut. Windows has no
// such call and needs none.
func syncFolder(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func readKeys(path, prefix string) ([][]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, problem.Wrap(problem.KeyMissing, err)
	}
	if err != nil {
		return nil, problem.Wrap(problem.KeyWrong, fmt.Errorf("open key file: %w", err))
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, problem.Wrap(problem.KeyWrong, fmt.Errorf("look at key file: %w", err))
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return nil, problem.Wrap(problem.KeyWrong,
			fmt.Errorf("%s can be read or written by others (mode %04o): chmod 600 it", path, info.Mode().Perm()))
	}
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	if err != nil {
		return nil, problem.Wrap(problem.KeyWrong, fmt.Errorf("read key file: %w", err))
	}
	var secrets [][]byte
	for line := range bytes.Lines(bytes.TrimSpace(text)) {
		secret, ok := parseKey(line, prefix)
		if !ok {
			return nil, problem.Wrap(problem.KeyWrong, fmt.Errorf("%s is not a %q file", path, prefix))
		}
		secrets = append(secrets, secret)
	}
	if len(secrets) == 0 {
		return nil, problem.Wrap(problem.KeyWrong, fmt.Errorf("%s is empty", path))
	}
	return secrets, nil
}

// parseKey reads a line of a key file. White space around it is forgiven.
func parseKey(text []byte, prefix string) ([]byte, bool) {
	text, ok := bytes.CutPrefix(bytes.TrimSpace(text), []byte(prefix))
	if !ok {
		return nil, false
	}
	secret, err := base64.StdEncoding.Strict().DecodeString(string(text))
	if err != nil || len(secret) != keySize {
		return nil, false // the error would quote the file
	}
	return secret, true
}
