package pcsctest

import (
	"os"
	"os/exec"
	"syscall"
)

// script runs in the mount namespace: /run is the service's own there.
const script = `set -e
mount -t tmpfs none /run
mkdir /run/pcscd
mount --bind "$1/run" /run/pcscd
exec "$2" --foreground --config "$1/conf"`

// command is the service's process. It dies with the thread that started it,
// which in Go lives as long as the program.
func (p parts) command(folder string) *exec.Cmd {
	args := []string{"--mount"}
	if os.Geteuid() != 0 {
		args = append(args, "--map-root-user")
	}
	args = append(args, "sh", "-c", script, "sh", folder, p.daemon)
	c := exec.Command(p.unshare, args...)
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	return c
}
