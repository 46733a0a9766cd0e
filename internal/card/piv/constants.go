package piv

// AID is the PIV card application's full identifier without its version
// (SP 800-73-4 part 1 section 2.2); a card is selected by it.
var AID = [...]byte{0xA0, 0x00, 0x00, 0x03, 0x08, 0x00, 0x00, 0x10, 0x00}

// Instructions (SP 800-73-4 part 2 table 2; the last three are Yubico's).
const (
	insVerify            = 0x20
	insChangeReference   = 0x24
	insResetRetryCounter = 0x2C
	insAuthenticate      = 0x87
	insSelect            = 0xA4
	insGetData           = 0xCB
	insGetMetadata       = 0xF7
	insGetSerial         = 0xF8
	insGetVersion        = 0xFD
)

// Key references (SP 800-73-4 part 1 table 4).
const (
	refGlobalPIN = 0x00
	refPIN       = 0x80
	refPUK       = 0x81
	slotPIVAuth  = 0x9A
	slotCardAuth = 0x9E
)

// Data objects (SP 800-73-4 part 1 table 3).
const (
	objectDiscovery = 0x7E
	objectCHUID     = 0x5FC102
)

// certificateObjects maps slots to the objects that hold their certificates.
func certificateObjects() []struct {
	Slot byte
	Tag  uint32
} {
	return []struct {
		Slot byte
		Tag  uint32
	}{{0x9A, 0x5FC105}, {0x9E, 0x5FC101}, {0x9C, 0x5FC10A}, {0x9D, 0x5FC10B}}
}

// Algorithm identifiers (SP 800-78-5 table 9).
const (
	algRSA3072 = 0x05
	algRSA2048 = 0x07
	algP256    = 0x11
	algP384    = 0x14
)
