//go:build !unix

package journal

// Other systems run one latchkeyd on a journal.
func lockFile(uintptr) error { return nil }

func unlockFile(uintptr) error { return nil }
