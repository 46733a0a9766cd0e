//go:build unix

package journal

import "golang.org/x/sys/unix"

// lockFile waits until no other process has the file locked. Locks go with the
// process.
func lockFile(fd uintptr) error {
	for {
		if err := unix.Flock(int(fd), unix.LOCK_EX); err != unix.EINTR {
			return err
		}
	}
}

func unlockFile(fd uintptr) error { return unix.Flock(int(fd), unix.LOCK_UN) }
