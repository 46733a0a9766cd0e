//go:build cgo

package engine

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// file gives a path from which the library can be loaded. Its content goes into
// an anonymous file in memory: nothing is written to disk.
func (l library) file() (path string, done func(), err error) {
	if l.path != "" {
		return l.path, func() {}, nil
	}
	fd, err := unix.MemfdCreate("libonnxruntime.so", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return "", nil, fmt.Errorf("memfd_create: %w", err)
	}
	f := os.NewFile(uintptr(fd), "libonnxruntime.so")
	if _, err := io.Copy(f, l.content); err != nil {
		f.Close()
		return "", nil, err
	}
	const seals = unix.F_SEAL_WRITE | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
		f.Close()
		return "", nil, fmt.Errorf("sealing: %w", err)
	}
	return fmt.Sprintf("/proc/self/fd/%d", fd), func() { f.Close() }, nil
}
