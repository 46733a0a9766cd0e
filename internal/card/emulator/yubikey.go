package emulator

import (
	"encoding/binary"
	"fmt"
)

// management is Yubico's management application, which tells tools what the
// YubiKey is.
type management struct{ s *State }

func (m *management) aid() []byte { return []byte{0xA0, 0, 0, 0x05, 0x27, 0x47, 0x11, 0x17} }

func (m *management) selected(bool) []byte {
	return []byte("Virtual mgr - FW version " + m.s.Firmware)
}

func (m *management) forget() {}

func (m *management) answer(cmd command) ([]byte, uint16) {
	if cmd.ins == insReadConfig {
		return m.config(), swOK
	}
	return nil, swNoINS
}

// Bits of the applications in the configuration.
const (
	capabilityOpenPGP = 0x08
	capabilityPIV     = 0x10
)

// config lists the applications that the card has over USB, so that tools look
// for no other.
func (m *management) config() []byte {
	var has byte
	if m.s.PIV != nil {
		has |= capabilityPIV
	}
	if m.s.OpenPGP != nil {
		has |= capabilityOpenPGP
	}
	body := join(tlv(0x01, []byte{has}), tlv(0x03, []byte{has}), tlv(0x05, m.s.firmware()),
		tlv(0x02, binary.BigEndian.AppendUint32(nil, m.s.Serial)), tlv(0x04, []byte{0x01}))
	return append([]byte{byte(len(body))}, body...)
}

// parseFirmware reads a version such as 5.4.3.
func parseFirmware(text string) (v [3]byte, err error) {
	var rest string
	n, _ := fmt.Sscanf(text+" .", "%d.%d.%d %s", &v[0], &v[1], &v[2], &rest)
	if n != 4 || rest != "." {
		return v, fmt.Errorf("firmware %q: want a version such as 5.4.3", text)
	}
	return v, nil
}

// firmware is the version that the card claims as a YubiKey.
func (s *State) firmware() []byte {
	v, _ := parseFirmware(s.Firmware) // checked when the state was made or loaded
	return v[:]
}

// since says whether the firmware is of a version or later.
func (s *State) since(major, minor byte) bool {
	v := s.firmware()
	return v[0] > major || v[0] == major && v[1] >= minor
}

// managementAlgorithm: firmware 5.7 comes with AES-192.
func (s *State) managementAlgorithm() byte {
	if s.YubiKey && s.since(5, 7) {
		return algAES192
	}
	return algTDES
}
