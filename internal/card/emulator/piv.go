package emulator

import (
	"encoding/binary"
	"encoding/hex"
)

// piv is the PIV application (NIST SP 800-73-4 part 2), with Yubico's
// extensions where the card is a YubiKey.
type piv struct {
	s           *State
	pinVerified bool
	managed     bool   // management key authenticated
	challenge   []byte // of a management key authentication
}

func pivAID() []byte { return []byte{0xA0, 0, 0, 0x03, 0x08, 0, 0, 0x10, 0, 0x01, 0} }

func (c *piv) aid() []byte { return pivAID() }

// selected gives the application property template (SP 800-73-4 part 2 table 3).
// A PIN stays verified when the application is selected once more.
func (c *piv) selected(bool) []byte {
	return tlv(0x61, tlv(0x4F, pivAID()[5:]), tlv(0x79, tlv(0x4F, pivAID()[:5])))
}

func (c *piv) forget() { c.pinVerified, c.managed, c.challenge = false, false, nil }

func (c *piv) answer(cmd command) ([]byte, uint16) {
	switch cmd.ins {
	case insGetData:
		return c.getData(cmd)
	case insVerify:
		return nil, c.verify(cmd)
	case insChangeReference:
		return nil, c.changeReference(cmd)
	case insResetRetryCounter:
		return nil, c.resetRetryCounter(cmd)
	case insAuthenticate:
		return c.authenticate(cmd)
	case insSelect:
		return nil, swNotFound
	case insPutData, insGenerate:
		return nil, swSecurity // the card is issued; nothing on it is rewritten
	}
	if !c.s.YubiKey {
		return nil, swNoINS
	}
	switch cmd.ins {
	case insGetMetadata:
		if !c.s.since(5, 3) {
			return nil, swNoINS
		}
		return c.metadata(cmd)
	case insGetSerial:
		return binary.BigEndian.AppendUint32(nil, c.s.Serial), swOK
	case insGetVersion:
		return c.s.firmware(), swOK
	}
	return nil, swNoINS
}

func (c *piv) getData(cmd command) ([]byte, uint16) {
	if cmd.p1 != 0x3F || cmd.p2 != 0xFF || len(cmd.data) < 3 || cmd.data[0] != 0x5C || int(cmd.data[1]) != len(cmd.data)-2 {
		return nil, swWrongData
	}
	switch hex.EncodeToString(cmd.data[2:]) {
	case "7e":
		return tlv(0x7E, tlv(0x4F, pivAID()), tlv(0x5F2F, []byte{0x40, 0x00})), swOK
	case "5fc102":
		return tlv(0x53, c.chuid()), swOK
	case "5fc107":
		return tlv(0x53, c.capability()), swOK
	case "5fff00":
		if c.s.PUKDisabled {
			return tlv(0x53, tlv(0x80, tlv(0x81, []byte{0x03}))), swOK
		}
	case "5fc105":
		return c.certificate("9A")
	case "5fc101":
		return c.certificate("9E")
	case "5fc10a":
		return c.certificate("9C")
	case "5fc10b":
		return c.certificate("9D")
	}
	return nil, swNotFound
}

// chuid is SP 800-73-4 part 1 table 9, unsigned, with a FASC-N of a
// non-federal issuer.
func (c *piv) chuid() []byte {
	fascn, _ := hex.DecodeString("d4e739da739ced39ce739da1685a1082108ce73984108257fc")
	guid, _ := hex.DecodeString(c.s.GUID) // checked when the state was loaded
	return join(tlv(0x30, fascn), tlv(0x34, guid), tlv(0x35, []byte("20350101")), tlv(0x3E), tlv(0xFE))
}

// capability is a Card Capability Container (SP 800-73-4 part 1 table 8).
func (c *piv) capability() []byte {
	guid, _ := hex.DecodeString(c.s.GUID)
	id := append([]byte{0xA0, 0, 0, 0x01, 0x16, 0xFF, 0x02}, guid[:14]...)
	return join(tlv(0xF0, id), tlv(0xF1, []byte{0x21}), tlv(0xF2, []byte{0x21}), tlv(0xF3), tlv(0xF4, []byte{0}),
		tlv(0xF5, []byte{0x10}), tlv(0xF6), tlv(0xF7), tlv(0xFA), tlv(0xFB), tlv(0xFC), tlv(0xFD), tlv(0xFE))
}

// metadata is Yubico's GET METADATA: algorithm, policy, default, retries.
func (c *piv) metadata(cmd command) ([]byte, uint16) {
	switch cmd.p2 {
	case refPIN:
		return join(tlv(0x01, []byte{0xFF}), tlv(0x05, flag(c.s.PIN == "123456")),
			tlv(0x06, []byte{byte(c.s.PINTotal), byte(c.s.PINTries)})), swOK
	case refPUK:
		return join(tlv(0x01, []byte{0xFF}), tlv(0x05, flag(c.s.PUK == "12345678")),
			tlv(0x06, []byte{byte(c.s.PUKTotal), byte(c.s.PUKTries)})), swOK
	case slotManagement:
		return join(tlv(0x01, []byte{c.s.managementAlgorithm()}), tlv(0x02, []byte{0, 1}),
			tlv(0x05, flag(c.s.Management == defaultManagement))), swOK
	}
	k, ok := c.key(cmd.p2)
	if !ok {
		return nil, swReference
	}
	policy := []byte{2, 1} // PIN once
	if cmd.p2 == slotCardAuth {
		policy = []byte{1, 1} // PIN never
	}
	return join(tlv(0x01, []byte{k.algorithm}), tlv(0x02, policy), tlv(0x03, []byte{1}), tlv(0x04, k.public())), swOK
}

func flag(b bool) []byte {
	if b {
		return []byte{1}
	}
	return []byte{0}
}
