package emulator

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"unicode/utf16"

	"latchkey/internal/card/apdu"
)

// Names of files and objects that the card needs itself.
const (
	gidsApplication = "3FFF"
	gidsDirectory   = "A000/DF1F"
	gidsKeyMap      = "A000/DF20"
)

// newGIDS makes a card as gids-tool would: its files, an RSA key in container 0
// and its certificate.
func newGIDS(o Options) (*GIDS, error) {
	g := &GIDS{PINTotal: o.PINTries, PINTries: o.PINTries, External: o.ExternalOnly, Files: map[string]access{}, Objects: map[string][]byte{}}
	if o.Blank {
		return g, nil
	}
	g.Initialised, g.PIN, g.AdminKey = true, o.PIN, hex.EncodeToString(o.AdminKey)
	if o.AdminKey == nil {
		g.AdminKey = defaultManagement
	}
	const either = accessUser | accessAdmin
	g.Files = map[string]access{"A000": {either, accessAlways}, "A010": {either, accessAlways}, "A011": {either, accessNever},
		"A012": {accessAdmin, accessAlways}, "A013": {either, either}, "A014": {accessAdmin, accessAdmin}}
	key, err := newKey("81", o, "rsa2048", 0, nil)
	if err != nil {
		return nil, err
	}
	g.Keys = []Key{key}
	certificate, err := gidsCertificate(key.Certificate)
	if err != nil {
		return nil, err
	}
	g.Objects = map[string][]byte{
		gidsDirectory: join([]byte{1}, gidsEntry("mscp", "", 0xA000, 0), gidsEntry("", "cardid", 0xA012, 0xDF20),
			gidsEntry("", "cardapps", 0xA010, 0xDF21), gidsEntry("", "cardcf", 0xA010, 0xDF22),
			gidsEntry("mscp", "cmapfile", 0xA010, 0xDF23), gidsEntry("mscp", "kxc00", 0xA010, 0xDF24)),
		gidsKeyMap:  {1, 1, 0, 0, 0, 0x07, 0x9A, 0x81, 0xB0, 0xFF, 0xFF, 0, 0}, // in use, RSA 2048, exchange, file B081
		"A012/DF20": bytes.Clone(o.GUID[:]),
		"A010/DF21": []byte("mscp\x00\x00\x00\x00"),
		"A010/DF22": make([]byte, 6),
		"A010/DF23": gidsContainer("Latchkey demonstration"),
		"A010/DF24": certificate,
	}
	return g, nil
}

// gidsEntry is an entry of the file directory.
func gidsEntry(folder, name string, file, object uint32) []byte {
	entry := make([]byte, 20, 28)
	copy(entry, folder)
	copy(entry[9:], name)
	return binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(entry, object), file)
}

// gidsContainer is an entry of the container map: the default one, with a key
// of RSA 2048 for exchange.
func gidsContainer(name string) []byte {
	record := make([]byte, 86)
	for i, unit := range utf16.Encode([]rune(name)) {
		binary.LittleEndian.PutUint16(record[2*i:], unit)
	}
	record[80] = 3
	binary.LittleEndian.PutUint16(record[84:], 2048)
	return record
}

func gidsCertificate(der []byte) ([]byte, error) {
	var z bytes.Buffer
	w := zlib.NewWriter(&z)
	if _, err := w.Write(der); err != nil {
		return nil, fmt.Errorf("compress certificate: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("compress certificate: %w", err)
	}
	return join([]byte{1, 0, byte(len(der)), byte(len(der) >> 8)}, z.Bytes()), nil
}

// get is GET DATA.
func (g *gids) get(cmd command) ([]byte, uint16) {
	file := fmt.Sprintf("%02X%02X", cmd.p1, cmd.p2)
	list, err := apdu.ParseTLV(cmd.data)
	if err != nil {
		return nil, swWrongData
	}
	if key, ok := apdu.Find(list, 0x70); ok && file == gidsApplication {
		ref, _ := apdu.FindTLV(key, 0x84)
		k, ok := findKey(g.s.Keys, fmt.Sprintf("%X", ref))
		if !ok {
			return nil, swWrongData
		}
		return tlv(0x7F49, k.public()), swOK
	}
	tag, ok := apdu.Find(list, 0x5C)
	if !ok {
		return nil, swWrongData
	}
	if file == gidsApplication {
		if name := fmt.Sprintf("%X", tag); name != "7F71" && name != "7F72" {
			return nil, swReference
		}
		return tlv(0x7F71, tlv(0x97, []byte{byte(g.s.PINTries)}), tlv(0x93, []byte{byte(g.s.PINTotal)})), swOK
	}
	conditions, ok := g.s.Files[file]
	if !ok {
		return nil, swNotFound
	}
	if !g.allowed(conditions.Read) {
		return nil, swSecurity
	}
	value, ok := g.s.Objects[fmt.Sprintf("%s/%X", file, tag)]
	if !ok || len(tag) != 2 {
		return nil, swNotFound
	}
	return tlv(uint32(tag[0])<<8|uint32(tag[1]), value), swOK
}

// put is PUT DATA: of the administration key, or of objects.
func (g *gids) put(cmd command) uint16 {
	file := fmt.Sprintf("%02X%02X", cmd.p1, cmd.p2)
	list, err := apdu.ParseTLV(cmd.data)
	if err != nil || len(list) == 0 {
		return swWrongData
	}
	if file == gidsApplication {
		key, ok := apdu.Find(list, 0x70)
		if !ok {
			return swWrongData
		}
		return g.putKey(key)
	}
	conditions, ok := g.s.Files[file]
	if !ok {
		return swNotFound
	}
	if !g.allowed(conditions.Write) {
		return swSecurity
	}
	for _, object := range list {
		g.s.Objects[fmt.Sprintf("%s/%X", file, object.Tag)] = bytes.Clone(object.Value)
	}
	return swOK
}

func (g *gids) putKey(template []byte) uint16 {
	ref, _ := apdu.FindTLV(template, 0x84)
	value, _ := apdu.FindTLV(template, 0xA5)
	key, _ := apdu.FindTLV(value, 0x87)
	switch {
	case !bytes.Equal(ref, []byte{0x80}) || len(key) != 24:
		return swWrongData
	case !g.allowed(accessAdmin):
		return swSecurity
	}
	g.s.AdminKey = hex.EncodeToString(key)
	return swOK
}

// selectFile is SELECT by file identifier; it answers nothing.
func (g *gids) selectFile(cmd command) uint16 {
	name := fmt.Sprintf("%X", cmd.data)
	_, ok := g.s.Files[name]
	if cmd.p1 != 0 || name != gidsApplication && !ok {
		return swNotFound
	}
	g.file = name
	return swOK
}

// create is CREATE FILE: file identifier (83) and access conditions (8C). Files
// are made before the card is initialised.
func (g *gids) create(cmd command) uint16 {
	if g.s.Initialised {
		return swSecurity
	}
	template, ok := apdu.FindTLV(cmd.data, 0x62)
	if !ok {
		return swWrongData
	}
	id, _ := apdu.FindTLV(template, 0x83)
	conditions, _ := apdu.FindTLV(template, 0x8C)
	if len(id) != 2 || len(conditions) < 3 {
		return swWrongData
	}
	g.file = fmt.Sprintf("%X", id)
	g.s.Files[g.file] = access{Write: conditions[1], Read: conditions[2]}
	return swOK
}

// activate is ACTIVATE FILE: of the application it ends the initialisation.
func (g *gids) activate() uint16 {
	if g.file == gidsApplication && !g.s.Initialised {
		if len(g.s.PIN) < gidsMinPIN || g.s.AdminKey == "" {
			return swConditions
		}
		g.s.Initialised = true
		g.forget()
	}
	return swOK
}
