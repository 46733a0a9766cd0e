package pcsc

import (
	"encoding/binary"
	"errors"
	"runtime"
	"unsafe"

	"golang.org/x/sys/windows"
)

// Parameters of the calls (winscard.h).
const (
	scopeUser     = 0
	shareShared   = 2
	protocolT0T1  = 1 | 2
	maxReaders    = 4096 // characters of the list of readers
	maxReaderName = 256
)

// library is winscard.dll. Handles and contexts are ULONG_PTR, DWORD is 32
// bits, texts are UTF-16.
type library struct{ dll *windows.LazyDLL }

func loadLibrary(socket string) (winscard, error) {
	if socket != "" {
		return nil, errors.New("another socket of the PC/SC service can be named on Linux alone")
	}
	dll := windows.NewLazySystemDLL("winscard.dll")
	if err := dll.Load(); err != nil {
		return nil, err
	}
	return &library{dll}, nil
}

func stateLayout() layout { return layout{dword: 4, stride: 64, maxATR: 36} }

// call makes a call of the library. What its arguments point to goes to the
// heap, which does not move, and lives until the call is over.
//
//go:uintptrescapes
func (l *library) call(name string, args ...uintptr) code {
	p := l.dll.NewProc(name)
	if p.Find() != nil {
		return eNoService
	}
	rv, _, _ := p.Call(args...)
	return code(uint32(rv))
}

// utf16 is a text that ends in a zero, on the heap. Names of readers come from the service
// itself, so they hold none.
//
//go:noinline
func utf16(s string) []uint16 {
	w, err := windows.UTF16FromString(s)
	if err != nil {
		return []uint16{0}
	}
	return w
}

func (l *library) establish() (uintptr, code) {
	context := new(uintptr)
	rv := l.call("SCardEstablishContext", scopeUser, 0, 0, uintptr(unsafe.Pointer(context)))
	return *context, rv
}

func (l *library) release(context uintptr) code { return l.call("SCardReleaseContext", context) }
func (l *library) cancel(context uintptr) code  { return l.call("SCardCancel", context) }
func (l *library) begin(handle uintptr) code    { return l.call("SCardBeginTransaction", handle) }

func (l *library) end(handle uintptr, disposition uint32) code {
	return l.call("SCardEndTransaction", handle, uintptr(disposition))
}

func (l *library) disconnect(handle uintptr, disposition uint32) code {
	return l.call("SCardDisconnect", handle, uintptr(disposition))
}

func (l *library) listReaders(context uintptr) ([]string, code) {
	buffer, n := make([]uint16, maxReaders), new(uint32)
	*n = maxReaders
	rv := l.call("SCardListReadersW", context, 0, uintptr(unsafe.Pointer(&buffer[0])), uintptr(unsafe.Pointer(n)))
	if rv != success {
		return nil, rv
	}
	return splitMulti(buffer[:min(*n, maxReaders)], windows.UTF16ToString), success
}

func (l *library) statusChange(context uintptr, timeout uint32, states []readerState) code {
	names := make([]unsafe.Pointer, len(states))
	for i, s := range states {
		names[i] = unsafe.Pointer(&utf16(s.name)[0])
	}
	raw := stateLayout().encode(states, names)
	rv := l.call("SCardGetStatusChangeW", context, uintptr(timeout), uintptr(unsafe.Pointer(&raw[0])), uintptr(len(states)))
	runtime.KeepAlive(names)
	if rv == success {
		stateLayout().decode(raw, states)
	}
	return rv
}

func (l *library) connect(context uintptr, reader string) (uintptr, uint32, code) {
	name, handle, protocol := utf16(reader), new(uintptr), new(uint32)
	rv := l.call("SCardConnectW", context, uintptr(unsafe.Pointer(&name[0])), shareShared, protocolT0T1, uintptr(unsafe.Pointer(handle)), uintptr(unsafe.Pointer(protocol)))
	return *handle, *protocol, rv
}

func (l *library) reconnect(handle uintptr) (uint32, code) {
	protocol := new(uint32)
	rv := l.call("SCardReconnect", handle, shareShared, protocolT0T1, leaveCard, uintptr(unsafe.Pointer(protocol)))
	return *protocol, rv
}

func (l *library) transmit(handle uintptr, protocol uint32, command, answer []byte) (int, code) {
	// SCARD_IO_REQUEST: the protocol and the structure's own size.
	request, n := make([]byte, 8), new(uint32)
	binary.NativeEndian.PutUint32(request, protocol)
	binary.NativeEndian.PutUint32(request[4:], 8)
	*n = uint32(len(answer))
	rv := l.call("SCardTransmit", handle, uintptr(unsafe.Pointer(&request[0])), uintptr(unsafe.Pointer(&command[0])), uintptr(len(command)), 0, uintptr(unsafe.Pointer(&answer[0])), uintptr(unsafe.Pointer(n)))
	return int(*n), rv
}

func (l *library) atr(handle uintptr) ([]byte, code) {
	name, nameLen := make([]uint16, maxReaderName), new(uint32)
	atr, atrLen := make([]byte, stateLayout().maxATR), new(uint32)
	state, protocol := new(uint32), new(uint32)
	*nameLen, *atrLen = maxReaderName, uint32(len(atr))
	rv := l.call("SCardStatusW", handle, uintptr(unsafe.Pointer(&name[0])), uintptr(unsafe.Pointer(nameLen)), uintptr(unsafe.Pointer(state)), uintptr(unsafe.Pointer(protocol)), uintptr(unsafe.Pointer(&atr[0])), uintptr(unsafe.Pointer(atrLen)))
	if rv != success {
		return nil, rv
	}
	return atr[:min(int(*atrLen), len(atr))], success
}
