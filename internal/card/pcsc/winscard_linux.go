package pcsc

import (
	"fmt"

	"github.com/ebitengine/purego"
)

// libraryNames are where pcsc-lite's client library is looked for.
func libraryNames() []string { return []string{"libpcsclite.so.1", "libpcsclite.so"} }

// stateLayout: DWORD is unsigned long, nothing is packed (pcsclite.h).
func stateLayout() layout { return layout{dword: 8, stride: 80, maxATR: 33} }

// useSocket has pcsc-lite use another socket. The C library keeps its own copy
// of the environment, so Go's does not do.
func useSocket(path string) error {
	if path == "" {
		return nil
	}
	libc, err := purego.Dlopen("libc.so.6", purego.RTLD_NOW|purego.RTLD_GLOBAL)
	if err != nil {
		return fmt.Errorf("name the socket of the PC/SC service: %w", err)
	}
	var setenv func(name, value string, overwrite int32) int32
	purego.RegisterLibFunc(&setenv, libc, "setenv")
	if setenv("PCSCLITE_CSOCK_NAME", path, 1) != 0 {
		return fmt.Errorf("name the socket of the PC/SC service: setenv failed")
	}
	return nil
}
