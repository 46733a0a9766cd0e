package peer

import (
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

func check(remote, local netip.AddrPort) error {
	list, err := unix.SysctlRaw("net.inet.tcp.pcblist_n")
	if err != nil {
		return fmt.Errorf("read the table of sockets: %w", err)
	}
	// The client's own socket: its local end is our remote end.
	uid, ok := findInPCBList(list, remote, local)
	if !ok {
		return fmt.Errorf("socket %s: %w", remote, ErrUnknown)
	}
	if uid != os.Getuid() {
		return fmt.Errorf("user %d: %w", uid, ErrOther)
	}
	return nil
}
