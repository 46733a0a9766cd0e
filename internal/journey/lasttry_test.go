package journey_test

import (
	"bytes"
	"strings"
	"sync"
	"testing"

	"latchkey/internal/card/emulator"
	"latchkey/internal/card/iso7816"
	"latchkey/internal/journey"
	"latchkey/internal/journey/journeytest"
	"latchkey/internal/problem"
)

// presented counts the keys that the card is presented with (RESET RETRY
// COUNTER), each time by its own.
type presented struct {
	mu   sync.Mutex
	keys map[string]int
}

func (p *presented) see(command []byte) {
	const resetRetryCounter = 0x2C
	if len(command) < 13 || command[1] != resetRetryCounter {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.keys == nil {
		p.keys = map[string]int{}
	}
	p.keys[string(bytes.TrimRight(command[5:13], "\xFF"))]++
}

// TestRefusedKeyIsNotTriedAgain: the card took the next key, was torn out, and
// then refuses the one before; no report of that comes through for a while.
// The refused key is presented once.
func TestRefusedKeyIsNotTriedAgain(t *testing.T) {
	for name, plain := range map[string]bool{"tells its tries": false, "plain": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, emulator.Options{Plain: plain})
			lost := 0
			d.through(&flaky{fails: func(_ int, path string) (bool, bool) {
				if strings.HasSuffix(path, "/report") && lost < 5 { // more often than the client tries by itself
					lost++
					return true, false
				}
				return false, false
			}})
			d.verified()
			var keys presented
			torn := false
			d.card.SetFaults(func(_ int, command []byte) emulator.Fault {
				keys.see(command)
				const changeReferenceData = 0x24
				if !torn && len(command) > 1 && command[1] == changeReferenceData {
					torn = true
					return emulator.Fault{TearAfter: true}
				}
				return emulator.Fault{}
			})
			if err := d.engine.SetPasscode(t.Context(), passcode); err != nil {
				t.Fatal(err)
			}
			d.await(func(v journey.View) bool { return v.Waiting != nil })
			d.readers.Insert(reader, d.card)
			if v := d.await(func(v journey.View) bool { return v.Step != journey.StepWorking }); v.Step != journey.StepDone {
				t.Fatalf("ended with %v", v.Problem)
			}
			d.unlocked(passcode)
			if n := keys.keys[oldPUK]; n != 2 { // it was right the first time
				t.Errorf("the key before was presented %d times", n)
			}
		})
	}
}

// TestUnansweredKeyOfACardThatTellsNothing: the card refuses the key, is torn out
// before anybody hears that, and cannot tell whether its passcode is still
// blocked. The other key comes next: one try is spent, not two.
func TestUnansweredKeyOfACardThatTellsNothing(t *testing.T) {
	profiles, err := iso7816.Load("generic-puk")
	if err != nil {
		t.Fatal(err)
	}
	d := newDesk(t, emulator.Options{Family: emulator.FamilyISO7816, PUK: oldPUK})
	d.recognise.Profiles = profiles
	torn := 0
	tear := func(before bool) {
		d.card.SetFaults(func(_ int, command []byte) emulator.Fault {
			const resetRetryCounter = 0x2C
			if torn > 0 || len(command) < 2 || command[1] != resetRetryCounter {
				return emulator.Fault{}
			}
			torn++
			return emulator.Fault{TearBefore: before, TearAfter: !before}
		})
	}
	begin := func() {
		d.restart()
		d.verified()
		if err := d.engine.SetPasscode(t.Context(), passcode); err != nil {
			t.Fatal(err)
		}
		d.await(func(v journey.View) bool { return v.Waiting != nil })
	}
	tear(true) // the card never takes the next key
	begin()
	d.engine.Close(t.Context())
	d.readers.Insert(reader, d.card)

	torn = 0
	tear(false)
	begin()
	if left := d.card.State().ISO.PUKTries; left != 2 {
		t.Fatalf("%d tries are left: the next key was not presented first", left)
	}
	d.readers.Insert(reader, d.card)
	if v := d.await(func(v journey.View) bool { return v.Step != journey.StepWorking }); v.Step != journey.StepDone {
		t.Fatalf("ended with %v, %d tries left", v.Problem, d.card.State().ISO.PUKTries)
	}
	d.engine.Close(t.Context())
	if err := journeytest.Unlocked(d.card.State(), passcode); err != nil {
		t.Error(err)
	}
}

// TestWrongKeyOnRecord: the escrow's key is not the card's. However often its
// holder tries, the card keeps its last try (R3).
func TestWrongKeyOnRecord(t *testing.T) {
	for name, plain := range map[string]bool{"tells its tries": false, "plain": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, emulator.Options{Plain: plain})
			const itsOwn = "11112222"
			if err := d.card.Edit(func(s *emulator.State) { s.PUK = itsOwn }); err != nil {
				t.Fatal(err)
			}
			for n, want := range []struct {
				code problem.Code
				left int
			}{{problem.PUKWrong, 2}, {problem.PUKLastTry, 1}, {problem.PUKLastTry, 1}, {problem.PUKLastTry, 1}} {
				d.verified()
				wantCode(t, d.confirm(passcode), want.code)
				if left := d.card.State().PUKTries; left != want.left {
					t.Errorf("attempt %d leaves %d tries", n+1, left)
				}
				d.engine.Close(t.Context())
				d.restart()
			}
		})
	}
}

// TestStoppedInTheMiddle: somebody starts again while the card is being worked
// on. What has begun is brought to its end first.
func TestStoppedInTheMiddle(t *testing.T) {
	d := newDesk(t, emulator.Options{})
	d.verified()
	reached, going := make(chan struct{}), make(chan struct{})
	d.card.SetFaults(func(_ int, command []byte) emulator.Fault {
		const resetRetryCounter = 0x2C
		if len(command) > 1 && command[1] == resetRetryCounter {
			close(reached)
			<-going
		}
		return emulator.Fault{}
	})
	if err := d.engine.SetPasscode(t.Context(), passcode); err != nil {
		t.Fatal(err)
	}
	<-reached
	ended := make(chan error)
	go func() { ended <- d.engine.Abandon(t.Context()) }()
	close(going)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	d.unlocked(passcode)
	if keys := d.Candidates(t, d.card); len(keys) != 1 {
		t.Errorf("%d candidates: the report did not arrive", len(keys))
	}
}
