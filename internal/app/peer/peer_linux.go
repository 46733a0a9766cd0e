package peer

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// noSession is what /proc/PID/sessionid says of a process that no logon began
// (audit's AUDIT_SID_UNSET).
const noSession = "4294967295"

func check(remote, local netip.AddrPort) error {
	socket, err := find(remote, local)
	if err != nil {
		return err
	}
	if socket.uid != os.Getuid() {
		return fmt.Errorf("user %d: %w", socket.uid, ErrOther)
	}
	ours := session("self")
	if ours == "" {
		return nil
	}
	pid, err := owner(socket.inode)
	if err != nil {
		return err
	}
	if theirs := session(pid); theirs != "" && theirs != ours {
		return fmt.Errorf("logon session %s: %w", theirs, ErrOther)
	}
	return nil
}

// find looks for the client's own socket, whose local end is our remote end.
func find(remote, local netip.AddrPort) (socket, error) {
	// A client's IPv6 socket can hold an IPv4 connection.
	for _, name := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		table, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a kernel without IPv6
		}
		if err != nil {
			return socket{}, fmt.Errorf("read the table of sockets: %w", err)
		}
		if s, ok := findIn(string(table), remote, local); ok {
			return s, nil
		}
	}
	return socket{}, fmt.Errorf("socket %s: %w", remote, ErrUnknown)
}

// owner finds a process that holds a socket. Processes of other users cannot
// be looked into; the socket is ours, so its process can.
func owner(inode uint64) (pid string, err error) {
	want := "socket:[" + strconv.FormatUint(inode, 10) + "]"
	fds, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return "", fmt.Errorf("list open files: %w", err)
	}
	for _, fd := range fds {
		if target, err := os.Readlink(fd); err == nil && target == want {
			return strings.Split(fd, "/")[2], nil
		}
	}
	return "", fmt.Errorf("process of socket %d: %w", inode, ErrUnknown)
}

// session is a process's logon session, "" where there is none to read.
func session(pid string) string {
	data, err := os.ReadFile(filepath.Join("/proc", pid, "sessionid"))
	s := strings.TrimSpace(string(data))
	if err != nil || s == noSession {
		return ""
	}
	return s
}
