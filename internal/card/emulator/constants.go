package emulator

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
	insManageSecurity    = 0x22
	insSign              = 0x2A // PERFORM SECURITY OPERATION
	insActivate          = 0x44
	insInternalAuth      = 0x88
	insChallenge         = 0x84
	insGetDataSimple     = 0xCA
	insPutDataSimple     = 0xDA
	insSelectData        = 0xA5
	insCreate            = 0xE0
	insReadBinary        = 0xB0
	insOpenPGPVersion    = 0xF1 // of a YubiKey's OpenPGP application
)

// Status words.
const (
	swOK          uint16 = 0x9000
	swWrongLength uint16 = 0x6700
	swSecurity    uint16 = 0x6982
	swBlocked     uint16 = 0x6983
	swConditions  uint16 = 0x6985
	swWrongData   uint16 = 0x6A80
	swNotAllowed  uint16 = 0x6986
	swNotFound    uint16 = 0x6A82
	swWrongP1P2   uint16 = 0x6A86
	swReference   uint16 = 0x6A88
	swNoINS       uint16 = 0x6D00
)
