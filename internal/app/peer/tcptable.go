package peer

import (
	"encoding/binary"
	"net/netip"
)

// findInTable looks in Windows' MIB_TCPTABLE_OWNER_PID or, for IPv6,
// MIB_TCP6TABLE_OWNER_PID (tcpmib.h) for the socket from local to remote and
// gives its process. The table is a count and then rows of 32-bit numbers in
// the machine's order, but addresses and ports are in network order.
func findInTable(table []byte, v6 bool, local, remote netip.AddrPort) (pid uint32, ok bool) {
	// Places in a row: state, local address and port, remote address and port.
	size, addressLen, localAt, localPort, remoteAt, remotePort, pidAt := 24, 4, 4, 8, 12, 16, 20
	if v6 {
		// local address, scope, port; remote address, scope, port; state; pid.
		size, addressLen, localAt, localPort, remoteAt, remotePort, pidAt = 56, 16, 0, 20, 24, 44, 52
	}
	if len(table) < 4 {
		return 0, false
	}
	count := binary.LittleEndian.Uint32(table)
	rows := table[4:]
	for ; count > 0 && len(rows) >= size; count-- {
		row := rows[:size]
		rows = rows[size:]
		if rowEndpoint(row, localAt, addressLen, localPort) == local && rowEndpoint(row, remoteAt, addressLen, remotePort) == remote {
			return binary.LittleEndian.Uint32(row[pidAt:]), true
		}
	}
	return 0, false
}

func rowEndpoint(row []byte, address, length, port int) netip.AddrPort {
	a, _ := netip.AddrFromSlice(row[address : address+length])
	return netip.AddrPortFrom(a.Unmap(), binary.BigEndian.Uint16(row[port:]))
}
