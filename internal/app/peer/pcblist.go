package peer

import (
	"encoding/binary"
	"net/netip"
)

// Kinds of records in net.inet.tcp.pcblist_n (xnu bsd/sys/socketvar.h).
const (
	kindSocket = 0x001 // struct xsocket_n
	kindINPCB  = 0x010 // struct xinpcb_n
)

// Places in the records, which are packed to 4 bytes (xnu
// bsd/netinet/in_pcb.h, bsd/sys/socketvar.h).
const (
	inpForeignPort = 16
	inpLocalPort   = 18
	inpVersion     = 44 // 1 is IPv4, 2 is IPv6
	inpForeign     = 48 // 16 bytes; an IPv4 address is the last 4
	inpLocal       = 64
	inpEnd         = 80
	socketUID      = 64
	socketEnd      = 68
)

// findInPCBList looks in macOS's list of TCP control blocks for the socket
// from local to remote and gives its user. The list is a header and then
// records, each beginning with its length and kind and filling up to 8 bytes;
// a connection is several records, of which the INPCB comes before the socket.
func findInPCBList(list []byte, local, remote netip.AddrPort) (uid int, ok bool) {
	native := binary.NativeEndian
	if len(list) < 4 {
		return 0, false
	}
	rest := skip(list, native.Uint32(list))
	matches := false
	for len(rest) >= 8 {
		length, kind := native.Uint32(rest), native.Uint32(rest[4:])
		if length < 8 || uint64(length) > uint64(len(rest)) {
			return 0, false
		}
		record := rest[:length]
		switch kind {
		case kindINPCB:
			matches = len(record) >= inpEnd &&
				pcbEndpoint(record, inpLocal, inpLocalPort) == local && pcbEndpoint(record, inpForeign, inpForeignPort) == remote
		case kindSocket:
			if matches && len(record) >= socketEnd {
				return int(native.Uint32(record[socketUID:])), true
			}
		}
		rest = skip(rest, length)
	}
	return 0, false
}

// skip leaves a record of a length behind, filled up to 8 bytes.
func skip(list []byte, length uint32) []byte {
	n := (uint64(length) + 7) &^ 7
	if n > uint64(len(list)) {
		return nil
	}
	return list[n:]
}

func pcbEndpoint(record []byte, address, port int) netip.AddrPort {
	raw := record[address : address+16]
	if record[inpVersion]&1 != 0 {
		raw = raw[12:]
	}
	a, _ := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(a.Unmap(), binary.BigEndian.Uint16(record[port:]))
}
