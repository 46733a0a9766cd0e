package peer

import (
	"fmt"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/windows"
)

// tableOwnerPIDConnections is TCP_TABLE_OWNER_PID_CONNECTIONS (iprtrmib.h).
const tableOwnerPIDConnections = 4

func check(remote, local netip.AddrPort) error {
	// The client's own socket: its local end is our remote end.
	pid, err := find(remote, local)
	if err != nil {
		return err
	}
	theirs, err := identify(pid)
	if err != nil {
		return err
	}
	ours, err := identify(windows.GetCurrentProcessId())
	if err != nil {
		return err
	}
	if theirs != ours {
		return fmt.Errorf("user %s in session %d: %w", theirs.sid, theirs.session, ErrOther)
	}
	return nil
}

// identity is who runs a process, and in which terminal services session.
type identity struct {
	sid     string
	session uint32
}

func identify(pid uint32) (identity, error) {
	process, err := windows.OpenProcess(windows.PROCESS_QUERY_LIMITED_INFORMATION, false, pid)
	if err != nil {
		return identity{}, fmt.Errorf("open process %d: %w: %w", pid, ErrOther, err)
	}
	defer func() { _ = windows.CloseHandle(process) }()
	var token windows.Token
	if err := windows.OpenProcessToken(process, windows.TOKEN_QUERY, &token); err != nil {
		return identity{}, fmt.Errorf("open the token of process %d: %w: %w", pid, ErrOther, err)
	}
	defer func() { _ = token.Close() }()
	user, err := token.GetTokenUser()
	if err != nil {
		return identity{}, fmt.Errorf("read the user of process %d: %w", pid, err)
	}
	id := identity{sid: user.User.Sid.String()}
	if err := windows.ProcessIdToSessionId(pid, &id.session); err != nil {
		return identity{}, fmt.Errorf("read the session of process %d: %w", pid, err)
	}
	return id, nil
}

func find(client, server netip.AddrPort) (pid uint32, err error) {
	for _, family := range []uint32{windows.AF_INET, windows.AF_INET6} {
		table, err := readTable(family)
		if err != nil {
			return 0, err
		}
		if pid, ok := findInTable(table, family == windows.AF_INET6, client, server); ok {
			return pid, nil
		}
	}
	return 0, fmt.Errorf("socket %s: %w", client, ErrUnknown)
}

// readTable asks for the table until it fits: it can grow between two calls.
func readTable(family uint32) ([]byte, error) {
	call := windows.NewLazySystemDLL("iphlpapi.dll").NewProc("GetExtendedTcpTable")
	size := uint32(16 << 10)
	for range 5 {
		table := make([]byte, size)
		status, _, _ := call.Call(uintptr(unsafe.Pointer(&table[0])), uintptr(unsafe.Pointer(&size)), 0,
			uintptr(family), tableOwnerPIDConnections, 0)
		switch windows.Errno(status) {
		case windows.ERROR_SUCCESS:
			return table, nil
		case windows.ERROR_INSUFFICIENT_BUFFER:
			continue
		default:
			return nil, fmt.Errorf("GetExtendedTcpTable: %w", windows.Errno(status))
		}
	}
	return nil, fmt.Errorf("GetExtendedTcpTable: %w", windows.ERROR_INSUFFICIENT_BUFFER)
}
