package problem

// Codes of the workstation: reader and card.
const (
	NoReaderService Code = "LK-1001"
	NoReader        Code = "LK-1002"
	NoCard          Code = "LK-1003"
	CardUnknown     Code = "LK-1004"
	CardMute        Code = "LK-1005"
	SeveralCards    Code = "LK-1006"
	CardRemoved     Code = "LK-1007"
	ReaderGone      Code = "LK-1008"
	CardBusy        Code = "LK-1009"
	CardMalformed   Code = "LK-1010"
	CardCannot      Code = "LK-1011"
	CardSwapped     Code = "LK-1012"
	PUKBlocked      Code = "LK-1013"
	PUKWrong        Code = "LK-1014"
	PUKLastTry      Code = "LK-1015"
	CardNotLocked   Code = "LK-1016"
	CardLocked      Code = "LK-1017"
	CertExpired     Code = "LK-1018"
	PUKDisabled     Code = "LK-1019"
	ProfileUnfit    Code = "LK-1020"
)

// Codes of the workstation's camera.
const (
	CameraMissing Code = "LK-1101"
	CameraRefused Code = "LK-1102"
	CameraBusy    Code = "LK-1103"
	CameraCannot  Code = "LK-1104"
	CameraStopped Code = "LK-1105"
	CameraDark    Code = "LK-1106"
	ScanHidden    Code = "LK-1107"
	ScanStopped   Code = "LK-1108"
	FaceElsewhere Code = "LK-1109"
)

// Codes of the new passcode.
const (
	PasscodeMissing   Code = "LK-2001"
	PasscodeShort     Code = "LK-2002"
	PasscodeLong      Code = "LK-2003"
	PasscodeNotDigits Code = "LK-2004"
	PasscodeMismatch  Code = "LK-2005"
	PasscodeGuessable Code = "LK-2006"
	PasscodeRefused   Code = "LK-2007"
	PasscodeWrong     Code = "LK-2008"
	PasscodeSame      Code = "LK-2009"
)

// Codes of proving who you are.
const (
	AddressMissing    Code = "LK-3001"
	AddressMalformed  Code = "LK-3002"
	CodeMissing       Code = "LK-3003"
	CodeWrong         Code = "LK-3004"
	CodeTries         Code = "LK-3005"
	CodeNotSent       Code = "LK-3006"
	SendLimit         Code = "LK-3007"
	MethodUnavailable Code = "LK-3008"
	DayLimit          Code = "LK-3009"
	MethodMissing     Code = "LK-3010"
	MobileMissing     Code = "LK-3021"
	MobileMalformed   Code = "LK-3022"
)

// Codes of face verification. Those before FaceNotVerified, and
// FaceNotStraight, can be mended.
const (
	FaceNotSeen     Code = "LK-3101"
	FaceSeveral     Code = "LK-3102"
	FaceFar         Code = "LK-3103"
	FaceClose       Code = "LK-3104"
	FaceOffCentre   Code = "LK-3105"
	FaceDark        Code = "LK-3106"
	FaceBright      Code = "LK-3107"
	FaceBlurred     Code = "LK-3108"
	FaceGlare       Code = "LK-3109"
	FaceLightWeak   Code = "LK-3110"
	FaceNoTurn      Code = "LK-3111"
	FaceFewFrames   Code = "LK-3112"
	FaceTiming      Code = "LK-3113"
	FaceNotVerified Code = "LK-3114"
	FaceConsent     Code = "LK-3115"
	FaceScanOver    Code = "LK-3116"
	FaceWait        Code = "LK-3117"
	FaceScanLimit   Code = "LK-3118"
	FaceHeld        Code = "LK-3119"
	FaceAway        Code = "LK-3120"
	FaceNotStraight Code = "LK-3121"
)

// Codes of sessions and of the card's standing with the service.
const (
	CardNotServed    Code = "LK-4001"
	CardSuspended    Code = "LK-4002"
	CardRevoked      Code = "LK-4003"
	HolderSuspended  Code = "LK-4004"
	CardExpired      Code = "LK-4005"
	CardNotKnown     Code = "LK-4006"
	HolderNoContact  Code = "LK-4007"
	CardNoKey        Code = "LK-4008"
	HolderNotKnown   Code = "LK-4009"
	CertRevoked      Code = "LK-4020"
	CertUntrusted    Code = "LK-4021"
	CertUnknown      Code = "LK-4022"
	SessionExpired   Code = "LK-4101"
	SessionUnknown   Code = "LK-4102"
	SessionState     Code = "LK-4103"
	SessionReplaced  Code = "LK-4104"
	OldApplication   Code = "LK-4105"
	NewerService     Code = "LK-4106"
	ProofWrong       Code = "LK-4107"
	SessionFinished  Code = "LK-4108"
	ReleaseMismatch  Code = "LK-4109"
	ReportMismatch   Code = "LK-4110"
	HolderFailures   Code = "LK-4111"
	ReceiptForged    Code = "LK-4150"
	MessageNotKnown  Code = "LK-4151"
	RequestMalformed Code = "LK-4200"
	RequestTooLarge  Code = "LK-4201"
	NoSuchPage       Code = "LK-4202"
	RequestRate      Code = "LK-4203"
)

// Codes of the service's own faults.
const (
	Internal         Code = "LK-5000"
	DatabaseGone     Code = "LK-5001"
	DatabaseBusy     Code = "LK-5002"
	DatabaseReadOnly Code = "LK-5003"
	DiskFull         Code = "LK-5004"
	KeyMissing       Code = "LK-5005"
	KeyWrong         Code = "LK-5006"
	KeyExists        Code = "LK-5007"
	ConfigInvalid    Code = "LK-5008"
	DatabaseNewer    Code = "LK-5009"
	AuditBroken      Code = "LK-5010"
	AssetsMissing    Code = "LK-5011"
	AddressInUse     Code = "LK-5013"
	FaceUnavailable  Code = "LK-5014"
	FaceModels       Code = "LK-5015"
	TrustFaults      Code = "LK-5020"
)

// Codes of the escrow: releases, the key journal and the keys that seal.
const (
	ReleasesStopped Code = "LK-5101"
	ReleasesTripped Code = "LK-5102"
	EscrowBehind    Code = "LK-5103"
	CardBehind      Code = "LK-5104"
	JournalMissing  Code = "LK-5105"
	JournalDamaged  Code = "LK-5106"
	JournalFault    Code = "LK-5107"
	ReconcileOpen   Code = "LK-5108"
	ProviderGone    Code = "LK-5111"
	ProviderRefused Code = "LK-5112"
	ProviderMissing Code = "LK-5113"
	DataKeyGone     Code = "LK-5114"
	SealedDamaged   Code = "LK-5115"
	KeysDoNotOpen   Code = "LK-5116"
	DataKeyUsed     Code = "LK-5117"
	MasterKeyWrong  Code = "LK-5118"
)

// Codes of the way from the application to the service.
const (
	ServiceUnset       Code = "LK-6001"
	ServiceUnreachable Code = "LK-6002"
	ServiceSlow        Code = "LK-6003"
	ServiceCertificate Code = "LK-6004"
	ServiceAnswer      Code = "LK-6005"
	ServicePin         Code = "LK-6006"
	ServicePlain       Code = "LK-6007"
	ClockWrong         Code = "LK-6008"
)

// Codes of imports.
const (
	ImportHeader   Code = "LK-7001"
	ImportEncoding Code = "LK-7002"
	ImportLine     Code = "LK-7003"
	ImportKey      Code = "LK-7004"
	ImportRefused  Code = "LK-7005"
	ImportFile     Code = "LK-7006"
	ImportSealed   Code = "LK-7007"
	ImportCert     Code = "LK-7011"
)

// Codes of the commands for faces.
const (
	FaceFile    Code = "LK-7101"
	FacePicture Code = "LK-7102"
	FaceNotGood Code = "LK-7103"
	FaceNone    Code = "LK-7104"
	FacePairs   Code = "LK-7105"
)

// Codes of profile photos.
const (
	PhotoRefused   Code = "LK-7201"
	PhotosRefused  Code = "LK-7202"
	PhotoMissing   Code = "LK-7203"
	PhotoDifferent Code = "LK-7204"
)

// Codes of adopting cards.
const (
	AdoptKeyWrong    Code = "LK-7301"
	AdoptKeyForm     Code = "LK-7302"
	AdoptNoFactory   Code = "LK-7303"
	AdoptHasKey      Code = "LK-7304"
	AdoptOtherHolder Code = "LK-7305"
	AdoptOtherCard   Code = "LK-7306"
	AdoptLastTry     Code = "LK-7307"
	AdoptBlocked     Code = "LK-7308"
	AdoptCannot      Code = "LK-7309"
	AdoptSome        Code = "LK-7310"
)

// Codes of the pages on loopback.
const (
	PageHost     Code = "LK-8001"
	PageLaunch   Code = "LK-8002"
	PagePeer     Code = "LK-8003"
	PageOrigin   Code = "LK-8004"
	PageTooLarge Code = "LK-8005"
)

// InputEnded is the code of the application in a terminal.
const InputEnded Code = "LK-8101"

// Lookup finds a code in the catalogue.
func Lookup(c Code) (Entry, bool) {
	for _, e := range Catalogue() {
		if e.Code == c {
			return e, true
		}
	}
	return Entry{}, false
}

// Catalogue is every entry, in the order of the codes.
func Catalogue() []Entry {
	var all []Entry
	for _, part := range [][]Entry{workstation(), camera(), passcode(), person(), faces(), standing(), service(), escrow(), connection(), imports(), photos(), adoptions(), pages()} {
		all = append(all, part...)
	}
	return all
}
