package emulator

import (
	"bytes"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"latchkey/internal/card/apdu"
	"latchkey/internal/card/iso7816"
)

// ISO7816 is what a card holds that behaves as a profile says.
type ISO7816 struct {
	Profile  iso7816.Profile `json:"profile"`
	Number   string          `json:"number"` // its identifier, in hex
	PIN      string          `json:"pin"`
	PUK      string          `json:"puk"`
	PINTries int             `json:"pin_tries"`
	PUKTries int             `json:"puk_tries"`
	PINTotal int             `json:"pin_tries_total"`
	PUKTotal int             `json:"puk_tries_total"`
	// EmptyCounts makes an empty VERIFY a wrong try, as on some cards.
	EmptyCounts bool `json:"empty_verify_counts,omitempty"`
}

func newISO7816(o Options) (*ISO7816, error) {
	p := o.Profile
	if p == nil {
		list, err := iso7816.Load("generic-puk")
		if err != nil {
			return nil, err
		}
		p = &list[0]
	}
	c := &ISO7816{Profile: *p, PIN: o.PIN, PUK: o.PUK, PINTries: o.PINTries, PUKTries: o.PUKTries, PINTotal: o.PINTries,
		PUKTotal: o.PUKTries, EmptyCounts: o.EmptyCounts}
	switch p.Identifier.Encoding {
	case "hex":
		c.Number = hex.EncodeToString(o.GUID[:8])
	case "ascii":
		c.Number = hex.EncodeToString(fmt.Appendf(nil, "%08d", o.Serial))
	default:
		c.Number = fmt.Sprintf("%010d", o.Serial)
	}
	return c, nil
}

// check refuses what no such card can hold.
func (c *ISO7816) check() error {
	if err := c.Profile.Check(); err != nil {
		return fmt.Errorf("profile: %w", err)
	}
	_, pin := c.Profile.PIN.Block(c.PIN)
	_, puk := c.Profile.PUK.Block(c.PUK)
	if _, err := hex.DecodeString(c.Number); err != nil || !pin || !puk || c.Number == "" {
		return errors.New("number, PIN or PUK is not what the profile allows")
	}
	if c.PINTries < 0 || c.PUKTries < 0 {
		return errBelowZero
	}
	return nil
}

// atr is the first answer to reset of the profile, any byte being 00; nil where
// it has none.
func (c *ISO7816) atr() []byte {
	if len(c.Profile.Recognise.ATR) == 0 {
		return nil
	}
	raw, _ := hex.DecodeString(strings.ReplaceAll(c.Profile.Recognise.ATR[0], ".", "0")) // checked
	return raw
}

// iso is the application of such a card, and its files.
type iso struct {
	s                        *ISO7816
	file                     string // the selected one, by its identifier
	pinVerified, pukVerified bool
}

func (c *iso) aid() []byte {
	raw, _ := hex.DecodeString(c.s.Profile.Recognise.AID) // checked
	return raw
}

func (c *iso) selected(bool) []byte {
	c.file = applicationFile
	if c.s.Profile.Recognise.SelectP2 == "0C" {
		return nil
	}
	return tlv(0x6F, tlv(0x84, c.aid()))
}

func (c *iso) forget() { c.file, c.pinVerified, c.pukVerified = masterFile, false, false }

func (c *iso) answer(cmd command) ([]byte, uint16) {
	switch cmd.ins {
	case insSelect:
		return c.selectFile(cmd)
	case insReadBinary:
		return c.readBinary(cmd)
	case insGetDataSimple:
		want, _ := hex.DecodeString(c.s.Profile.Identifier.Object) // checked
		if len(want) == 0 || !bytes.Equal(want, []byte{cmd.p1, cmd.p2}[2-len(want):]) {
			return nil, swReference
		}
		return c.identifier(), swOK
	case insVerify:
		return nil, c.verify(cmd)
	case insResetRetryCounter:
		return nil, c.set(cmd, c.s.Profile.Unblock, c.s.Profile.PUK, c.s.Profile.PIN)
	case insChangeReference:
		if cmd.p2 == ref(c.s.Profile.PUK.Reference) {
			return nil, c.set(cmd, c.s.Profile.ChangePUK, c.s.Profile.PUK, c.s.Profile.PUK)
		}
		return nil, c.set(cmd, c.s.Profile.ChangePIN, c.s.Profile.PIN, c.s.Profile.PIN)
	}
	return nil, swNoINS
}

// identifier is what the profile's file or object holds.
func (c *iso) identifier() []byte {
	i := c.s.Profile.Identifier
	number, _ := hex.DecodeString(c.s.Number) // checked
	value := append(make([]byte, i.Offset), number...)
	for len(value) < i.Offset+i.Length {
		value = append(value, 0xFF)
	}
	if tag, err := hex.DecodeString(i.Tag); err == nil && len(tag) > 0 {
		return tlv(uint32(ref16(tag)), value)
	}
	return value
}

func ref16(b []byte) (n int) {
	for _, x := range b {
		n = n<<8 | int(x)
	}
	return n
}

// ref is a byte of a profile.
func ref(b iso7816.Byte) byte {
	raw, err := hex.DecodeString(string(b))
	if err != nil || len(raw) != 1 {
		return 0
	}
	return raw[0]
}

// verify is VERIFY of the PIN or the PUK (ISO/IEC 7816-4 section 11.6.6).
func (c *iso) verify(cmd command) uint16 {
	r, value, tries, total, verified := c.s.Profile.PIN, c.s.PIN, &c.s.PINTries, c.s.PINTotal, &c.pinVerified
	if cmd.p2 == ref(c.s.Profile.PUK.Reference) {
		r, value, tries, total, verified = c.s.Profile.PUK, c.s.PUK, &c.s.PUKTries, c.s.PUKTotal, &c.pukVerified
	} else if cmd.p2 != ref(r.Reference) {
		return swReference
	}
	if cmd.p1 != 0 {
		return swWrongP1P2
	}
	if len(cmd.data) == 0 && !c.s.EmptyCounts {
		if *verified {
			return swOK
		}
		return refused(*tries)
	}
	sw := c.present(r, cmd.data, value, tries, total)
	*verified = sw == swOK
	return sw
}

// present compares what is presented and keeps the counter.
func (c *iso) present(r iso7816.Reference, block []byte, value string, tries *int, total int) uint16 {
	if *tries == 0 {
		return swBlocked
	}
	want, _ := r.Block(value) // checked
	if subtle.ConstantTimeCompare(block, want) != 1 {
		*tries--
		return refused(*tries)
	}
	*tries = total
	return swOK
}

// set is RESET RETRY COUNTER or CHANGE REFERENCE DATA: both values in one
// command, or the new one alone after VERIFY of the other.
func (c *iso) set(cmd command, how iso7816.Command, old, fresh iso7816.Reference) uint16 {
	p2 := ref(fresh.Reference)
	if how.P2 != "" {
		p2 = ref(how.P2)
	}
	if how.No {
		return swNoINS
	}
	if cmd.p1 != ref(how.P1) || cmd.p2 != p2 {
		return swWrongP1P2
	}
	puk := old.Reference == c.s.Profile.PUK.Reference
	value, tries, total, verified := c.s.PIN, &c.s.PINTries, c.s.PINTotal, &c.pinVerified
	if puk {
		value, tries, total, verified = c.s.PUK, &c.s.PUKTries, c.s.PUKTotal, &c.pukVerified
	}
	data := cmd.data
	if cmd.p1 == 0 {
		want, _ := old.Block(value) // checked
		if len(data) <= len(want) {
			return swWrongLength
		}
		if *tries == 0 {
			return swBlocked
		}
		next, ok := decoded(fresh, data[len(want):])
		if !ok {
			return swWrongData
		}
		if sw := c.present(old, data[:len(want)], value, tries, total); sw != swOK {
			return sw
		}
		c.put(fresh, next)
		return swOK
	}
	if !*verified {
		return swSecurity
	}
	next, ok := decoded(fresh, data)
	if !ok {
		return swWrongData
	}
	c.put(fresh, next)
	return swOK
}

// put sets the PIN, which unblocks it, or the PUK.
func (c *iso) put(r iso7816.Reference, next string) {
	if r.Reference == c.s.Profile.PUK.Reference {
		c.s.PUK, c.pukVerified = next, false
		return
	}
	c.s.PIN, c.s.PINTries, c.pinVerified = next, c.s.PINTotal, false
}

// decoded reads a PIN or PUK from what crossed the interface.
func decoded(r iso7816.Reference, block []byte) (string, bool) {
	var s string
	switch r.Encoding {
	case "ascii":
		if r.Length > 0 {
			if len(block) != r.Length {
				return "", false
			}
			block = bytes.TrimRight(block, string([]byte{ref(r.Pad)}))
		}
		s = string(block)
	case "bcd":
		if r.Length > 0 && len(block) != r.Length {
			return "", false
		}
		s, _, _ = strings.Cut(hex.EncodeToString(block), fmt.Sprintf("%x", ref(r.Pad)&0x0F))
	default:
		if len(block) != 8 || block[0]>>4 != 2 || int(block[0]&0x0F) > 14 {
			return "", false
		}
		s = hex.EncodeToString(block[1:])[:block[0]&0x0F]
	}
	digits := strings.Trim(s, "0123456789") == ""
	return s, len(s) >= r.Min && len(s) <= r.Max && (digits || !r.DigitsOnly)
}

// Files of the card.
const (
	masterFile      = "3f00"
	applicationFile = "5015"
)

// files are those that a PKCS #15 reader wants (ISO/IEC 7816-15), and the
// profile's own. A value of nil is a folder.
func (c *iso) files() map[string][]byte {
	all := map[string][]byte{masterFile: nil, applicationFile: nil, "2f00": directory(c.aid()), "5031": objectDirectory(), "5032": c.tokenInfo(),
		"4401": c.authObjects()}
	names := c.s.Profile.Identifier.Files
	for n, name := range names {
		content := []byte(nil)
		if n == len(names)-1 {
			content = c.identifier()
		}
		all[strings.ToLower(name)] = content
	}
	return all
}

// selectFile selects by identifier or by path (P1 00, 01, 02, 08, 09): the last
// file of a path counts, as no two have the same identifier.
func (c *iso) selectFile(cmd command) ([]byte, uint16) {
	name := hex.EncodeToString(cmd.data)
	if name == "" {
		name = masterFile
	}
	if len(name)%4 != 0 || !slices.Contains([]byte{0, 1, 2, 8, 9}, cmd.p1) {
		return nil, swWrongP1P2
	}
	name = name[len(name)-4:]
	content, ok := c.files()[name]
	if !ok {
		return nil, swNotFound
	}
	c.file = name
	if cmd.p2&0x0C == 0x0C {
		return nil, swOK
	}
	id, _ := hex.DecodeString(name)
	if content == nil {
		return tlv(0x6F, tlv(0x82, []byte{0x38}), tlv(0x83, id)), swOK
	}
	return tlv(0x6F, tlv(0x80, []byte{byte(len(content) >> 8), byte(len(content))}), tlv(0x82, []byte{0x01}), tlv(0x83, id)), swOK
}

func (c *iso) readBinary(cmd command) ([]byte, uint16) {
	content, offset := c.files()[c.file], int(cmd.p1)<<8|int(cmd.p2)
	if cmd.p1&0x80 != 0 {
		if c.s.Profile.Identifier.SFI == "" || cmd.p1&0x1F != ref(c.s.Profile.Identifier.SFI) {
			return nil, swNotFound
		}
		content, offset = c.identifier(), int(cmd.p2)
	}
	switch {
	case content == nil:
		return nil, swNotAllowed
	case offset > len(content):
		return nil, 0x6B00
	}
	return content[offset:min(len(content), offset+max(cmd.le, 1))], swOK
}

// The files of ISO/IEC 7816-15, in DER.

func directory(aid []byte) []byte {
	return apdu.EncodeTLV(0x61, tlv(0x4F, aid), tlv(0x50, []byte("Card with a PUK")), tlv(0x51, []byte{0x3F, 0x00, 0x50, 0x15}))
}

func path(id ...byte) []byte { return tlv(0x30, tlv(0x04, id)) }

// objectDirectory says where the authentication objects are.
func objectDirectory() []byte { return tlv(0xA8, path(0x3F, 0x00, 0x50, 0x15, 0x44, 0x01)) }

func (c *iso) tokenInfo() []byte {
	number, _ := hex.DecodeString(c.s.Number) // checked
	return tlv(0x30, tlv(0x02, []byte{0}), tlv(0x04, number), tlv(0x0C, []byte("Latchkey")), tlv(0x80, []byte("Card with a PUK")), tlv(0x03, []byte{5, 0x60}))
}

// authObjects are the PIN, which the PUK unblocks, and the PUK.
func (c *iso) authObjects() []byte {
	object := func(label string, id byte, by []byte, flags uint16, r iso7816.Reference) []byte {
		common := [][]byte{tlv(0x0C, []byte(label)), tlv(0x03, []byte{6, 0x40})}
		if by != nil {
			common = append(common, tlv(0x04, by))
		}
		stored := max(r.Length, 1)
		pin := join(tlv(0x03, []byte{4, byte(flags >> 8), byte(flags)}), tlv(0x0A, []byte{1}), tlv(0x02, []byte{byte(r.Min)}), tlv(0x02, []byte{byte(stored)}),
			tlv(0x02, []byte{byte(r.Max)}), tlv(0x80, []byte{ref(r.Reference)}), tlv(0x04, []byte{ref(r.Pad)}), path(0x3F, 0x00))
		return tlv(0x30, tlv(0x30, common...), tlv(0x30, tlv(0x04, []byte{id})), tlv(0xA1, tlv(0x30, pin)))
	}
	const caseSensitive, initialised, padded, unblocking = 0x8000, 0x0800, 0x0400, 0x0200
	return join(object("PIN", 1, []byte{2}, caseSensitive|initialised|padded, c.s.Profile.PIN),
		object("PUK", 2, nil, caseSensitive|initialised|padded|unblocking, c.s.Profile.PUK))
}
