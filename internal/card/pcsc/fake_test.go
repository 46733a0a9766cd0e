package pcsc

import (
	"sync"
	"testing"
	"time"
)

// fake is a PC/SC service as its library shows it. Made in a synctest bubble,
// its waits pass without time.
type fake struct {
	mu      sync.Mutex
	t       *testing.T
	down    code // what every call answers, where not 0
	noPnP   code // what a wait answers that names plugAndPlay
	order   []string
	events  map[string]uint32 // state of each reader
	woken   chan struct{}     // closed at each change
	waits   int
	open    int // contexts and handles that were not given back
	results map[string]code
	holding chan struct{} // a begin waits until it is closed
	calls   []string
}

func newFake(t *testing.T) *fake {
	return &fake{t: t, events: map[string]uint32{}, woken: make(chan struct{}), results: map[string]code{}}
}

// service is a Service on the fake.
func (f *fake) service() *Service {
	s := New(Options{})
	s.load = func() (winscard, error) { return f, nil }
	return s
}

// set changes the service and wakes those who wait in it.
func (f *fake) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
	close(f.woken)
	f.woken = make(chan struct{})
}

// reader adds a reader or changes what it sees.
func (f *fake) reader(name string, state uint32) {
	f.set(func() {
		if _, ok := f.events[name]; !ok {
			f.order = append(f.order, name)
		}
		f.events[name] = state
	})
}

// result notes a call and gives its result.
func (f *fake) result(call string) code {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, call)
	if f.down != 0 {
		return f.down
	}
	return f.results[call]
}

func (f *fake) count(n int, rv code) code {
	f.mu.Lock()
	defer f.mu.Unlock()
	if rv == success || n < 0 {
		f.open += n
	}
	return rv
}

// left is how much was not given back.
func (f *fake) left() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.open
}

func (f *fake) establish() (uintptr, code) { return 1, f.count(1, f.result("establish")) }
func (f *fake) release(uintptr) code       { return f.count(-1, success) }

func (f *fake) listReaders(uintptr) ([]string, code) {
	if rv := f.result("list"); rv != success {
		return nil, rv
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.order) == 0 {
		return nil, eNoReadersAvailable
	}
	return append([]string(nil), f.order...), success
}

func (f *fake) cancel(uintptr) code {
	f.set(func() { f.results["cancelled"] = eCancelled })
	return success
}

func (f *fake) statusChange(_ uintptr, timeout uint32, states []readerState) code {
	timer := time.NewTimer(time.Duration(timeout) * time.Millisecond)
	defer timer.Stop()
	f.mu.Lock()
	f.waits++
	f.mu.Unlock()
	for {
		f.mu.Lock()
		rv, done := f.look(states)
		woken := f.woken
		f.mu.Unlock()
		if done {
			return rv
		}
		select {
		case <-woken:
		case <-timer.C:
			return eTimeout
		}
	}
}

// look compares what is known with what is. The caller holds the lock.
func (f *fake) look(states []readerState) (code, bool) {
	if f.down != 0 {
		return f.down, true
	}
	if rv := f.results["cancelled"]; rv != success {
		return rv, true
	}
	changed := false
	for i := range states {
		s := &states[i]
		event, known := f.events[s.name]
		switch {
		case s.name == plugAndPlay && f.noPnP != 0:
			return f.noPnP, true
		case s.name == plugAndPlay:
			event = uint32(len(f.order)) << 16
		case !known:
			event = stateUnknown
		}
		if s.event = event; event != s.current {
			s.event, changed = event|stateChanged, true
		}
		s.atr = nil
		if event&statePresent != 0 {
			s.atr = []byte{0x3B, 0x00}
		}
	}
	return success, changed
}

func (f *fake) connect(uintptr, string) (uintptr, uint32, code) {
	return 7, 2, f.count(1, f.result("connect"))
}
func (f *fake) reconnect(uintptr) (uint32, code) { return 1, f.result("reconnect") }
func (f *fake) disconnect(uintptr, uint32) code  { return f.count(-1, f.result("disconnect")) }
func (f *fake) atr(uintptr) ([]byte, code)       { return []byte{0x3B, 0x00}, f.result("atr") }

func (f *fake) begin(uintptr) code {
	if f.holding != nil {
		<-f.holding
	}
	return f.result("begin")
}

func (f *fake) end(_ uintptr, disposition uint32) code {
	if disposition == resetCard {
		return f.result("end with reset")
	}
	return f.result("end")
}

// transmit answers with the protocol and 9000.
func (f *fake) transmit(_ uintptr, protocol uint32, _, answer []byte) (int, code) {
	return copy(answer, []byte{byte(protocol), 0x90, 0x00}), f.result("transmit")
}
