package peer

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"strconv"
	"strings"
)

// socket is what a system's table says of one socket.
type socket struct {
	uid   int
	inode uint64
}

// findIn looks in the text of /proc/net/tcp or tcp6 (proc(5)) for the socket
// from local to remote. A socket that no process holds any more has no inode
// and counts as none: the kernel shows it as root's.
func findIn(table string, local, remote netip.AddrPort) (socket, bool) {
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) < 10 {
			continue
		}
		l, okLocal := parseEndpoint(f[1])
		r, okRemote := parseEndpoint(f[2])
		if !okLocal || !okRemote || l != local || r != remote {
			continue
		}
		uid, errUID := strconv.ParseUint(f[7], 10, 32)
		inode, errInode := strconv.ParseUint(f[9], 10, 64)
		if errUID != nil || errInode != nil || inode == 0 {
			continue
		}
		return socket{uid: int(uid), inode: inode}, true
	}
	return socket{}, false
}

// parseEndpoint reads "0100007F:1F90": an address as 32-bit words in the
// machine's own byte order, and a port.
func parseEndpoint(s string) (netip.AddrPort, bool) {
	address, port, _ := strings.Cut(s, ":")
	raw, err := hex.DecodeString(address)
	if err != nil || (len(raw) != 4 && len(raw) != 16) {
		return netip.AddrPort{}, false
	}
	for word := raw; len(word) > 0; word = word[4:] {
		// The text is the word's value, most significant digit first.
		binary.NativeEndian.PutUint32(word, binary.BigEndian.Uint32(word))
	}
	p, err := strconv.ParseUint(port, 16, 16)
	if err != nil {
		return netip.AddrPort{}, false
	}
	a, _ := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(a.Unmap(), uint16(p)), true
}
