package pcsc

import "errors"

func libraryNames() []string {
	return []string{"/System/Library/Frameworks/PCSC.framework/PCSC"}
}

// stateLayout: DWORD is uint32_t, structures are packed (PCSC/pcsclite.h).
func stateLayout() layout { return layout{dword: 4, stride: 61, maxATR: 33} }

func useSocket(path string) error {
	if path != "" {
		return errors.New("another socket of the PC/SC service can be named on Linux alone")
	}
	return nil
}
