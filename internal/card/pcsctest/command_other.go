//go:build !linux

package pcsctest

import "os/exec"

// command is never reached: find fails where there is no pcscd.
func (p parts) command(string) *exec.Cmd { return exec.Command(p.daemon) }
