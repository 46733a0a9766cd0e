// Package keyfile encrypts a file of unlocking keys on its way from a card
// management system to the service, so that it is of no use to anybody else.
//
// A file is one line of text, which names the service's import key, then an
// encapsulated key of 32 bytes and chunks of one HPKE context (RFC 9180 base
// mode: X25519, HKDF-SHA-256, AES-256-GCM), each behind its length in four
// bytes. The context numbers the chunks, and the last one says in its
// additional data that it is, so that a file that was cut, or whose chunks
// changed places, does not open.
//
// The import key comes from a data key (package seal) and is kept nowhere. It
// says nothing of who has encrypted a file: the import checks every line.
package keyfile

import (
	"bufio"
	"bytes"
	"crypto/ecdh"
	"crypto/hpke"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"latchkey/internal/problem"
	"latchkey/internal/seal"
)

const (
	magic   = "latchkey-sealed-keys-v1"
	info    = "latchkey key import v1"
	use     = "key import v1" // of the data key
	encSize = 32
	tagSize = 16
	// chunkSize is the bytes of the file that one chunk holds.
	chunkSize = 64 << 10
	idBytes   = 8
)

// Additional data of the chunks.
var (
	more = []byte("more")
	last = []byte("last")
)

// PublicKey is the service's import key as text: its data key's id and the
// X25519 key, in base64.
func PublicKey(keys *seal.Keyring) (string, error) {
	id := keys.ID()
	private, err := privateKey(keys, id)
	if err != nil {
		return "", err
	}
	raw, err := hex.DecodeString(id)
	if err != nil {
		return "", fmt.Errorf("id of the data key: %w", err)
	}
	return base64.StdEncoding.EncodeToString(append(raw, private.PublicKey().Bytes()...)), nil
}

func privateKey(keys *seal.Keyring, id string) (hpke.PrivateKey, error) {
	seed, err := keys.Derive(id, use)
	if err != nil {
		return nil, problem.Wrap(problem.ImportSealed, err)
	}
	private, err := hpke.DHKEM(ecdh.X25519()).DeriveKeyPair(seed)
	if err != nil {
		return nil, fmt.Errorf("derive the import key: %w", err)
	}
	return private, nil
}

// ErrPublicKey says that a text is no import key.
var ErrPublicKey = errors.New("this is not an import key as latchkeyd keys import-key prints it")

// Encrypt writes what it reads from in to out for the import key to. Error:
// ErrPublicKey and those of in and out.
func Encrypt(out io.Writer, in io.Reader, to string) error {
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(to))
	if err != nil || len(raw) != idBytes+encSize {
		return ErrPublicKey
	}
	public, err := hpke.DHKEM(ecdh.X25519()).NewPublicKey(raw[idBytes:])
	if err != nil {
		return ErrPublicKey
	}
	enc, sender, err := hpke.NewSender(public, hpke.HKDFSHA256(), hpke.AES256GCM(), []byte(info))
	if err != nil {
		return ErrPublicKey // of low order
	}
	w := bufio.NewWriter(out)
	if _, err := fmt.Fprintf(w, "%s %x\n%s", magic, raw[:idBytes], enc); err != nil {
		return err
	}
	r := bufio.NewReaderSize(in, chunkSize)
	for plain, end := make([]byte, chunkSize), false; !end; {
		n, err := io.ReadFull(r, plain)
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return err
		}
		if _, err = r.Peek(1); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		end = err != nil
		what := more
		if end {
			what = last
		}
		sealed, err := sender.Seal(what, plain[:n])
		if err != nil {
			return fmt.Errorf("encrypt: %w", err)
		}
		if _, err := w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(sealed))), sealed...)); err != nil {
			return err
		}
	}
	return w.Flush()
}

// Encrypted says whether a file is one that Encrypt has made. The file stands
// at its beginning afterwards.
func Encrypted(file io.ReadSeeker) (bool, error) {
	start := make([]byte, len(magic))
	n, err := io.ReadFull(file, start)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return false, err
	}
	_, err = file.Seek(0, io.SeekStart)
	return string(start[:n]) == magic, err
}

// Reader decrypts a file as it is read: nothing of it is ever on a disk. It can
// be taken back to its beginning, and nowhere else. Errors:
// problem.ImportSealed.
type Reader struct {
	file io.ReadSeeker
	keys *seal.Keyring

	in    *bufio.Reader
	with  *hpke.Recipient
	plain bytes.Reader
	end   bool
}

// NewReader reads a file for which Encrypted is true.
func NewReader(file io.ReadSeeker, keys *seal.Keyring) (*Reader, error) {
	r := &Reader{file: file, keys: keys}
	return r, r.begin()
}

// damaged says what is wrong with a file.
func damaged(what string) error { return problem.Wrap(problem.ImportSealed, errors.New(what)) }

func (r *Reader) begin() error {
	if _, err := r.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	r.in, r.end = bufio.NewReaderSize(r.file, chunkSize), false
	r.plain.Reset(nil)
	line, err := r.in.ReadSlice('\n')
	id, found := strings.CutPrefix(strings.TrimSuffix(string(line), "\n"), magic+" ")
	if err != nil || !found || len(id) != 2*idBytes {
		return damaged("the first line is not right")
	}
	private, err := privateKey(r.keys, id)
	if err != nil {
		return err
	}
	enc := make([]byte, encSize)
	if _, err := io.ReadFull(r.in, enc); err != nil {
		return damaged("it ends too early")
	}
	if r.with, err = hpke.NewRecipient(enc, private, hpke.HKDFSHA256(), hpke.AES256GCM(), []byte(info)); err != nil {
		return damaged("the encapsulated key is not right")
	}
	return nil
}

// Seek goes back to the beginning.
func (r *Reader) Seek(offset int64, whence int) (int64, error) {
	if offset != 0 || whence != io.SeekStart {
		return 0, errors.New("keyfile: only the beginning can be gone to")
	}
	return 0, r.begin()
}

// Read gives the next bytes of what was encrypted.
func (r *Reader) Read(p []byte) (int, error) {
	for r.plain.Len() == 0 {
		if r.end {
			return 0, io.EOF
		}
		if err := r.chunk(); err != nil {
			return 0, err
		}
	}
	return r.plain.Read(p)
}

func (r *Reader) chunk() error {
	var size [4]byte
	if _, err := io.ReadFull(r.in, size[:]); err != nil {
		return damaged("it ends too early")
	}
	n := binary.BigEndian.Uint32(size[:])
	if n < tagSize || n > chunkSize+tagSize {
		return damaged("the size of a part is not right")
	}
	sealed := make([]byte, n)
	if _, err := io.ReadFull(r.in, sealed); err != nil {
		return damaged("it ends too early")
	}
	_, err := r.in.Peek(1)
	r.end = errors.Is(err, io.EOF)
	what := more
	if r.end {
		what = last
	}
	plain, err := r.with.Open(what, sealed)
	if err != nil {
		return damaged("a part was changed, or the end is missing")
	}
	r.plain.Reset(plain)
	return nil
}
