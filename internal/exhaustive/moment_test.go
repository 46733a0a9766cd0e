package exhaustive

import (
	"fmt"
	"os"
	"slices"
	"time"

	"latchkey/internal/card/emulator"
	"latchkey/internal/escrow"
	"latchkey/internal/journey/journeytest"
	"latchkey/internal/problem"
)

// moment is the state of everything, to come back to.
type moment struct {
	database rows
	journal  []byte
	card     emulator.State
	clock    time.Time
	origin   rows // the database at the beginning of all
}

func (w *world) moment() moment {
	raw, err := os.ReadFile(w.journalPath())
	must(w.t, err)
	return moment{database: w.dump(), journal: raw, card: w.card.State(), clock: w.now(), origin: w.origin}
}

// load brings everything back to a moment. The service begins anew.
func (w *world) load(m moment) {
	w.put(m.database)
	must(w.t, os.WriteFile(w.journalPath(), m.journal, 0o600))
	c, err := emulator.FromState(m.card)
	must(w.t, err)
	w.card, w.readers, w.network = c, emulator.NewReaders(reader), newNetwork()
	w.readers.Insert(reader, c)
	w.out = false
	w.jump(m.clock.Sub(w.now()))
	w.origin = m.origin
	w.fewest = journeytest.Tries(m.card)
	w.startService()
}

// arm begins to count an attempt's messages, and has a fault happen at one of
// them; nil: none.
func (w *world) arm(f *fault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.armed, w.commands, w.calls, w.worked, w.before = f, 0, 0, 0, nil
	var committed func()
	if f != nil && f.kind.goesBack() {
		w.points = []rows{w.dump()}
		committed = func() { w.points = append(w.points, w.dump()) }
	}
	w.gate.reset(f, committed)
}

func (w *world) disarm() {
	w.gate.stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.armed = nil
}

// atCommand counts a command to the card.
func (w *world) atCommand() kind {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.commands++
	if f := w.armed; f != nil && f.kind <= appKilledAfterCommand && f.is(f.kind, w.commands) {
		return f.kind
	}
	return noFault
}

// atCall counts a message to the service.
func (w *world) atCall() (kind, int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls++
	w.gate.mu.Lock()
	w.before = append(w.before, w.gate.commits)
	w.gate.mu.Unlock()
	if f := w.armed; f != nil && (f.kind >= requestLost && f.kind <= failedOver || f.kind.late()) && f.is(f.kind, w.calls) {
		return f.kind, f.to
	}
	return noFault, 0
}

// looksAtTries notes how few tries are left of the card's key.
func (w *world) looksAtTries(command []byte) {
	if len(command) < 2 || !slices.Contains([]byte{0x20, 0x24, 0x2C}, command[1]) { // VERIFY, CHANGE REFERENCE DATA, RESET RETRY COUNTER
		return
	}
	state := w.card.State()
	left := journeytest.Tries(state)
	if w.talks {
		w.tell(fmt.Sprintf("told %X; %d tries of the key, which is %q; the escrow has %q", command, left, journeytest.Key(state), w.candidates()))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fewest = min(w.fewest, left)
}

// goBack puts an earlier state of the database in the place of the one there
// is. A restored one comes with a service that was started again.
func (w *world) goBack(k kind, to int) {
	if to < 0 {
		w.put(w.origin)
	} else {
		w.put(w.points[min(to, len(w.points)-1)])
	}
	if k == restored || k == restoredLate {
		w.startService()
	}
}

// reconcile is what the operator does after a restore or a failover
// (docs/keys.md).
func (w *world) reconcile() error {
	r, err := w.journal.Reconcile(w.t.Context(), w.db, w.keys, escrow.ReconcileOptions{})
	if err == nil && !r.Released {
		err = problem.New(problem.ReconcileOpen)
	}
	return err
}

// tidy puts the card back, and the reader.
func (w *world) tidy() {
	w.mu.Lock()
	out := w.out
	w.out = false
	w.mu.Unlock()
	if out {
		w.readers.Insert(reader, w.card)
	}
}

// takeOut takes the card out of reach.
func (w *world) takeOut(how func(string)) {
	w.mu.Lock()
	w.out = true
	w.mu.Unlock()
	how(reader)
}

// workEnds notes that the work on the card ends.
func (w *world) workEnds() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.worked = w.commands
}
