package gids

import (
	"bytes"
	"compress/zlib"
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"latchkey/internal/card"
	"latchkey/internal/card/apdu"
)

// file is an entry of the card's file directory.
type file struct {
	folder, name string
	file, object uint16 // where it lies
}

// Layout of the directory: a version, then entries of two names of 9 bytes
// with a zero at their end, two bytes unused, and two little-endian numbers.
const (
	directoryVersion = 1
	entryLength      = 28
	nameLength       = 9
)

// Layout of the container map (Windows minidriver specification 7.07 section
// 5.4.4.2): a name of 40 UTF-16 characters, flags, a reserved byte, bits of the
// signature key and of the exchange key.
const (
	containerLength = 86
	containerFlags  = 80
	containerSign   = 82
	containerXchg   = 84
	flagValid       = 0x01
)

// maxCertificate bounds a certificate after decompression, in bytes.
const maxCertificate = 32 << 10

// parseDirectory reads the file directory (DO DF1F).
func parseDirectory(object []byte) ([]file, error) {
	if len(object) < 1 || object[0] != directoryVersion || (len(object)-1)%entryLength != 0 {
		return nil, fmt.Errorf("file directory: %w", card.ErrMalformed)
	}
	var list []file
	for entry := object[1:]; len(entry) > 0; entry = entry[entryLength:] {
		object, place := binary.LittleEndian.Uint32(entry[20:]), binary.LittleEndian.Uint32(entry[24:])
		if object > 0xFFFF || place > 0xFFFF {
			return nil, fmt.Errorf("file directory: %w", card.ErrMalformed)
		}
		list = append(list, file{folder: text(entry[:nameLength]), name: text(entry[nameLength : 2*nameLength]),
			file: uint16(place), object: uint16(object)})
	}
	return list, nil
}

func text(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}

// container is a key pair of the container map.
type container struct {
	file string // of its certificate
	bits int
}

// parseContainers reads the container map (file mscp\cmapfile): the files of the
// certificates of its valid containers.
func parseContainers(object []byte) ([]container, error) {
	if len(object)%containerLength != 0 {
		return nil, fmt.Errorf("container map: %w", card.ErrMalformed)
	}
	var list []container
	for i := 0; (i+1)*containerLength <= len(object) && i < 0x100; i++ {
		record := object[i*containerLength : (i+1)*containerLength]
		if record[containerFlags]&flagValid == 0 {
			continue
		}
		if bits := binary.LittleEndian.Uint16(record[containerXchg:]); bits > 0 {
			list = append(list, container{fmt.Sprintf("kxc%02X", i), int(bits)})
		}
		if bits := binary.LittleEndian.Uint16(record[containerSign:]); bits > 0 {
			list = append(list, container{fmt.Sprintf("ksc%02X", i), int(bits)})
		}
	}
	return list, nil
}

// ParseCertificate reads a certificate's file: 1 and the plain length, both
// little-endian numbers of two bytes, then zlib.
func ParseCertificate(object []byte) ([]byte, error) {
	malformed := fmt.Errorf("certificate file: %w", card.ErrMalformed)
	if len(object) < 4 || binary.LittleEndian.Uint16(object) != 1 {
		return nil, malformed
	}
	z, err := zlib.NewReader(bytes.NewReader(object[4:]))
	if err != nil {
		return nil, malformed
	}
	plain, err := io.ReadAll(io.LimitReader(z, maxCertificate+1))
	if err != nil || len(plain) > maxCertificate || len(plain) != int(binary.LittleEndian.Uint16(object[2:])) {
		return nil, malformed
	}
	return plain, nil
}

// read reads a file. errNoObject means that the card has none of that name.
func (c *Card) read(ctx context.Context, folder, name string) ([]byte, error) {
	if c.list == nil {
		object, err := c.getData(ctx, fileDirectory, objectDirectory)
		if err != nil {
			return nil, err
		}
		if c.list, err = parseDirectory(object); err != nil {
			return nil, err
		}
	}
	for _, f := range c.list {
		if f.folder == folder && f.name == name {
			return c.getData(ctx, f.file, f.object)
		}
	}
	return nil, errNoObject
}

// containers reads the container map; a card without one has none.
func (c *Card) containers(ctx context.Context) ([]container, error) {
	object, err := c.read(ctx, "mscp", "cmapfile")
	if errors.Is(err, errNoObject) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return parseContainers(object)
}

// Certificates reads the certificates of the card's containers. Their slots are
// the names of their files.
func (c *Card) Certificates(ctx context.Context) ([]card.Certificate, error) {
	all, err := c.containers(ctx)
	if err != nil {
		return nil, err
	}
	var list []card.Certificate
	for _, k := range all {
		object, err := c.read(ctx, "mscp", k.file)
		if errors.Is(err, errNoObject) {
			continue // a key that was never certified
		}
		if err != nil {
			return nil, err
		}
		der, err := ParseCertificate(object)
		if err != nil {
			return nil, err
		}
		list = append(list, card.Certificate{Slot: k.file, DER: der})
	}
	return list, nil
}

// algRSA2048PKCS1 is RSA 2048 with the padding of RSASSA-PKCS1-v1_5, which the
// card does itself.
const algRSA2048PKCS1 = 0x57

// firstKey is the reference of the key of container 0.
const firstKey = 0x81

// ProveVerified signs with the first key that has a certificate of RSA 2048
// (PERFORM SECURITY OPERATION, ISO/IEC 7816-8 section 5.4), after a VERIFY.
func (c *Card) ProveVerified(ctx context.Context, digest [32]byte) (card.Proof, error) {
	certificates, err := c.Certificates(ctx)
	if err != nil {
		return card.Proof{}, err
	}
	for _, one := range certificates {
		cert, err := x509.ParseCertificate(one.DER)
		if err != nil {
			continue
		}
		if key, ok := cert.PublicKey.(*rsa.PublicKey); ok && key.Size() == 256 {
			return c.sign(ctx, one.Slot, digest)
		}
	}
	return card.Proof{}, fmt.Errorf("no RSA key with a certificate: %w", card.ErrNotSupported)
}

func (c *Card) sign(ctx context.Context, slot string, digest [32]byte) (card.Proof, error) {
	var index int
	if _, err := fmt.Sscanf(slot[3:], "%02X", &index); err != nil || firstKey+index > 0xFF {
		return card.Proof{}, fmt.Errorf("key of %s: %w", slot, card.ErrNotSupported)
	}
	const choose, name = "MANAGE SECURITY ENVIRONMENT", "PERFORM SECURITY OPERATION"
	r, err := c.send(ctx, apdu.Command{Name: choose, INS: insManageSecurity, P1: 0x41, P2: 0xB6,
		Data: []byte{0x80, 0x01, algRSA2048PKCS1, 0x84, 0x01, byte(firstKey + index)}})
	if err != nil {
		return card.Proof{}, err
	}
	if r.SW != apdu.OK {
		return card.Proof{}, otherwise(choose, r.SW, card.ErrNotSupported)
	}
	r, err = c.send(ctx, apdu.Command{Name: name, INS: insSign, P1: 0x9E, P2: 0x9A, Data: apdu.DigestInfo(digest), Answer: true})
	if err != nil {
		return card.Proof{}, err
	}
	if r.SW != apdu.OK {
		return card.Proof{}, otherwise(name, r.SW, card.ErrNotSupported)
	}
	if len(r.Data) != 256 {
		return card.Proof{}, fmt.Errorf("%s: %w", name, card.ErrMalformed)
	}
	return card.Proof{Slot: slot, Signature: r.Data}, nil
}
