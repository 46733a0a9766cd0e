//go:build linux || darwin

package pcsc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"github.com/ebitengine/purego"
)

// Parameters of the calls (winscard.h).
const (
	scopeSystem   = 2
	shareShared   = 2
	protocolT0T1  = 1 | 2
	maxReaders    = 4096 // bytes of the list of readers
	maxReaderName = 256
)

// library is the PC/SC library of the machine.
type library struct {
	sEstablish, sRelease, sList, sStatusChange, sCancel, sConnect, sReconnect,
	sDisconnect, sBegin, sEnd, sTransmit, sStatus uintptr
}

func loadLibrary(socket string) (winscard, error) {
	if err := useSocket(socket); err != nil {
		return nil, err
	}
	var failed error
	for _, name := range libraryNames() {
		handle, err := purego.Dlopen(name, purego.RTLD_NOW|purego.RTLD_LOCAL)
		if err == nil {
			return newLibrary(handle)
		}
		failed = errors.Join(failed, err)
	}
	return nil, failed
}

func newLibrary(handle uintptr) (*library, error) {
	l := &library{}
	for name, f := range map[string]*uintptr{
		"SCardEstablishContext": &l.sEstablish, "SCardReleaseContext": &l.sRelease, "SCardListReaders": &l.sList,
		"SCardGetStatusChange": &l.sStatusChange, "SCardCancel": &l.sCancel, "SCardConnect": &l.sConnect,
		"SCardReconnect": &l.sReconnect, "SCardDisconnect": &l.sDisconnect, "SCardBeginTransaction": &l.sBegin,
		"SCardEndTransaction": &l.sEnd, "SCardTransmit": &l.sTransmit, "SCardStatus": &l.sStatus,
	} {
		symbol, err := purego.Dlsym(handle, name)
		if err != nil {
			return nil, fmt.Errorf("the PC/SC library lacks %s: %w", name, err)
		}
		*f = symbol
	}
	return l, nil
}

// call makes a call of the library. What its arguments point to goes to the
// heap, which does not move, and lives until the call is over.
//
//go:uintptrescapes
func call(f uintptr, args ...uintptr) code {
	rv, _, _ := purego.SyscallN(f, args...)
	return code(uint32(rv))
}

func (l *library) establish() (uintptr, code) {
	context := new(uint64)
	rv := call(l.sEstablish, scopeSystem, 0, 0, uintptr(unsafe.Pointer(context)))
	return uintptr(*context), rv
}

func (l *library) release(context uintptr) code { return call(l.sRelease, context) }
func (l *library) cancel(context uintptr) code  { return call(l.sCancel, context) }
func (l *library) begin(handle uintptr) code    { return call(l.sBegin, handle) }

func (l *library) end(handle uintptr, disposition uint32) code {
	return call(l.sEnd, handle, uintptr(disposition))
}

func (l *library) disconnect(handle uintptr, disposition uint32) code {
	return call(l.sDisconnect, handle, uintptr(disposition))
}

func (l *library) listReaders(context uintptr) ([]string, code) {
	buffer, n := make([]byte, maxReaders), new(uint64)
	*n = uint64(len(buffer))
	rv := call(l.sList, context, 0, uintptr(unsafe.Pointer(&buffer[0])), uintptr(unsafe.Pointer(n)))
	if rv != success {
		return nil, rv
	}
	return splitMulti(buffer[:min(*n, maxReaders)], func(b []byte) string { return string(b) }), success
}

func (l *library) statusChange(context uintptr, timeout uint32, states []readerState) code {
	names := make([]unsafe.Pointer, len(states))
	for i, s := range states {
		names[i] = terminated(s.name)
	}
	raw := stateLayout().encode(states, names)
	rv := call(l.sStatusChange, context, uintptr(timeout), uintptr(unsafe.Pointer(&raw[0])), uintptr(len(states)))
	runtime.KeepAlive(names)
	if rv == success {
		stateLayout().decode(raw, states)
	}
	return rv
}

// terminated is a text that ends in a zero, on the heap.
//
//go:noinline
func terminated(s string) unsafe.Pointer { return unsafe.Pointer(&append([]byte(s), 0)[0]) }

func (l *library) connect(context uintptr, reader string) (uintptr, uint32, code) {
	name, handle, protocol := append([]byte(reader), 0), new(uint64), new(uint64)
	rv := call(l.sConnect, context, uintptr(unsafe.Pointer(&name[0])), shareShared, protocolT0T1, uintptr(unsafe.Pointer(handle)), uintptr(unsafe.Pointer(protocol)))
	return uintptr(*handle), uint32(*protocol), rv
}

func (l *library) reconnect(handle uintptr) (uint32, code) {
	protocol := new(uint64)
	rv := call(l.sReconnect, handle, shareShared, protocolT0T1, leaveCard, uintptr(unsafe.Pointer(protocol)))
	return uint32(*protocol), rv
}

func (l *library) transmit(handle uintptr, protocol uint32, command, answer []byte) (int, code) {
	// SCARD_IO_REQUEST: two DWORDs, the protocol and the structure's own size.
	size := stateLayout().dword
	request, n := make([]byte, 2*8), new(uint64)
	binary.NativeEndian.PutUint32(request, protocol)
	binary.NativeEndian.PutUint32(request[size:], uint32(2*size))
	*n = uint64(len(answer))
	rv := call(l.sTransmit, handle, uintptr(unsafe.Pointer(&request[0])), uintptr(unsafe.Pointer(&command[0])), uintptr(len(command)), 0, uintptr(unsafe.Pointer(&answer[0])), uintptr(unsafe.Pointer(n)))
	return int(uint32(*n)), rv
}

func (l *library) atr(handle uintptr) ([]byte, code) {
	name, nameLen := make([]byte, maxReaderName), new(uint64)
	atr, atrLen := make([]byte, stateLayout().maxATR), new(uint64)
	state, protocol := new(uint64), new(uint64)
	*nameLen, *atrLen = uint64(len(name)), uint64(len(atr))
	rv := call(l.sStatus, handle, uintptr(unsafe.Pointer(&name[0])), uintptr(unsafe.Pointer(nameLen)), uintptr(unsafe.Pointer(state)), uintptr(unsafe.Pointer(protocol)), uintptr(unsafe.Pointer(&atr[0])), uintptr(unsafe.Pointer(atrLen)))
	if rv != success {
		return nil, rv
	}
	return atr[:min(int(uint32(*atrLen)), len(atr))], success
}
