// Package peer says who is at the other end of a loopback TCP connection.
//
// A loopback port is open to everybody on the machine: on a terminal server
// that is every other user. The pages are for the user alone who started the
// application, so each connection's other end must belong to the same user of
// the operating system and, where the system can tell, the same logon session.
//
//	Linux    /proc/net/tcp{,6} name the socket's user and inode; the inode leads
//	         to the process, whose audit session (/proc/PID/sessionid) must be ours
//	         where both have one.
//	Windows  GetExtendedTcpTable names the process; its token's user (SID) and its
//	         terminal services session must be ours.
//	macOS    sysctl net.inet.tcp.pcblist_n names the socket's user. Each logon
//	         session there is another user's or this user's own.
//
// What cannot be found out is refused.
package peer

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// ErrOther says that the other end belongs to another user or logon session.
var ErrOther = errors.New("the connection comes from another user or logon session")

// ErrUnknown says that the other end could not be found.
var ErrUnknown = errors.New("the other end of the connection was not found")

// Check says nil where the other end of conn is a socket of the same user and
// logon session as this process, else ErrOther or ErrUnknown, wrapped.
func Check(conn net.Conn) error {
	local, err := endpoint(conn.LocalAddr())
	if err != nil {
		return err
	}
	remote, err := endpoint(conn.RemoteAddr())
	if err != nil {
		return err
	}
	if !remote.Addr().IsLoopback() || !local.Addr().IsLoopback() {
		return fmt.Errorf("%s to %s is not on loopback: %w", remote, local, ErrOther)
	}
	return check(remote, local)
}

func endpoint(a net.Addr) (netip.AddrPort, error) {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}, fmt.Errorf("%v is no TCP address: %w", a, ErrUnknown)
	}
	p := tcp.AddrPort()
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port()), nil
}
