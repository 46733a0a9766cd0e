package emulator

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
)

// Instructions.
const (
	insVerify            = 0x20
	insChangeReference   = 0x24
	insResetRetryCounter = 0x2C
	insGenerate          = 0x47
	insAuthenticate      = 0x87
	insSelect            = 0xA4
	insGetResponse       = 0xC0
	insGetData           = 0xCB
	insPutData           = 0xDB
	insGetMetadata       = 0xF7
	insGetSerial         = 0xF8
	insGetVersion        = 0xFD
	insReadConfig        = 0x1D // of Yubico's management application
)

// Status words.
const (
	swOK          uint16 = 0x9000
	swWrongLength uint16 = 0x6700
	swSecurity    uint16 = 0x6982
	swBlocked     uint16 = 0x6983
	swConditions  uint16 = 0x6985
	swWrongData   uint16 = 0x6A80
	swNotFound    uint16 = 0x6A82
	swWrongP1P2   uint16 = 0x6A86
	swReference   uint16 = 0x6A88
	swNoINS       uint16 = 0x6D00
)

// Applications.
const (
	appPIV        = "piv"
	appManagement = "management"
)

func pivAID() []byte { return []byte{0xA0, 0, 0, 0x03, 0x08, 0, 0, 0x10, 0, 0x01, 0} }

func managementAID() []byte { return []byte{0xA0, 0, 0, 0x05, 0x27, 0x47, 0x11, 0x17} }

// firmware is the version that the card claims as a YubiKey.
func firmware() []byte { return []byte{5, 4, 3} }

func (c *Card) dispatch(cmd command) ([]byte, uint16) {
	if cmd.ins == insSelect {
		return c.selectApplication(cmd)
	}
	switch c.selected {
	case appPIV:
		return c.piv(cmd)
	case appManagement:
		if cmd.ins == insReadConfig {
			return c.deviceConfig(), swOK
		}
	}
	return nil, swNoINS
}

func (c *Card) selectApplication(cmd command) ([]byte, uint16) {
	if cmd.p1 != 0x04 {
		return nil, swNotFound
	}
	switch {
	case len(cmd.data) >= 5 && bytes.HasPrefix(pivAID(), cmd.data):
		if c.selected != appPIV {
			c.pinVerified = false
		}
		c.selected = appPIV
		return propertyTemplate(), swOK
	case c.state.YubiKey && bytes.HasPrefix(managementAID(), cmd.data) && len(cmd.data) >= 5:
		c.selected, c.pinVerified = appManagement, false
		return []byte("Virtual mgr - FW version 5.4.3"), swOK
	}
	return nil, swNotFound
}

// propertyTemplate is SP 800-73-4 part 2 table 3.
func propertyTemplate() []byte {
	return tlv(0x61, tlv(0x4F, pivAID()[5:]), tlv(0x79, tlv(0x4F, pivAID()[:5])))
}

// deviceConfig lists PIV over USB alone, so that tools look no further.
func (c *Card) deviceConfig() []byte {
	body := join(tlv(0x01, []byte{0x10}), tlv(0x03, []byte{0x10}), tlv(0x05, firmware()),
		tlv(0x02, binary.BigEndian.AppendUint32(nil, c.state.Serial)), tlv(0x04, []byte{0x01}))
	return append([]byte{byte(len(body))}, body...)
}

func (c *Card) piv(cmd command) ([]byte, uint16) {
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
	case insPutData, insGenerate:
		return nil, swSecurity // the card is issued; nothing on it is rewritten
	}
	if !c.state.YubiKey {
		return nil, swNoINS
	}
	switch cmd.ins {
	case insGetMetadata:
		return c.metadata(cmd)
	case insGetSerial:
		return binary.BigEndian.AppendUint32(nil, c.state.Serial), swOK
	case insGetVersion:
		return firmware(), swOK
	}
	return nil, swNoINS
}

func (c *Card) getData(cmd command) ([]byte, uint16) {
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
func (c *Card) chuid() []byte {
	fascn, _ := hex.DecodeString("d4e739da739ced39ce739da1685a1082108ce73984108257fc")
	guid, _ := hex.DecodeString(c.state.GUID) // checked when the state was loaded
	return join(tlv(0x30, fascn), tlv(0x34, guid), tlv(0x35, []byte("20350101")), tlv(0x3E), tlv(0xFE))
}

// capability is a Card Capability Container (SP 800-73-4 part 1 table 8).
func (c *Card) capability() []byte {
	guid, _ := hex.DecodeString(c.state.GUID)
	id := append([]byte{0xA0, 0, 0, 0x01, 0x16, 0xFF, 0x02}, guid[:14]...)
	return join(tlv(0xF0, id), tlv(0xF1, []byte{0x21}), tlv(0xF2, []byte{0x21}), tlv(0xF3), tlv(0xF4, []byte{0}),
		tlv(0xF5, []byte{0x10}), tlv(0xF6), tlv(0xF7), tlv(0xFA), tlv(0xFB), tlv(0xFC), tlv(0xFD), tlv(0xFE))
}

// metadata is Yubico's GET METADATA: algorithm, policy, default, retries.
func (c *Card) metadata(cmd command) ([]byte, uint16) {
	switch cmd.p2 {
	case refPIN:
		return join(tlv(0x01, []byte{0xFF}), tlv(0x05, flag(c.state.PIN == "123456")),
			tlv(0x06, []byte{byte(c.state.PINTotal), byte(c.state.PINTries)})), swOK
	case refPUK:
		return join(tlv(0x01, []byte{0xFF}), tlv(0x05, flag(c.state.PUK == "12345678")),
			tlv(0x06, []byte{byte(c.state.PUKTotal), byte(c.state.PUKTries)})), swOK
	case slotManagement:
		return join(tlv(0x01, []byte{algTDES}), tlv(0x02, []byte{0, 1}),
			tlv(0x05, flag(c.state.Management == defaultManagement))), swOK
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
