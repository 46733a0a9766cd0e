package journey_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"sync"
	"testing"

	"latchkey/internal/api"
	"latchkey/internal/card"
	"latchkey/internal/card/emulator"
	"latchkey/internal/escrow"
	"latchkey/internal/journey"
	"latchkey/internal/journey/journeytest"
	"latchkey/internal/problem"
	"latchkey/internal/unlock/unlocktest"
)

// tear takes the card out before or after its nth command.
func tear(n int, after bool) emulator.Faults {
	return func(i int, _ []byte) emulator.Fault {
		return emulator.Fault{TearAfter: after && i == n, TearBefore: !after && i == n}
	}
}

// kinds are cards that fare differently: one that tells its counters and
// proves itself, one that only proves itself, one that can do neither, and
// those of the other families.
func kinds() map[string]func(t testing.TB) *desk {
	return map[string]func(t testing.TB) *desk{
		"YubiKey": func(t testing.TB) *desk { return newDesk(t, emulator.Options{}) },
		"plain":   func(t testing.TB) *desk { return newDesk(t, emulator.Options{Plain: true}) },
		"unproven": func(t testing.TB) *desk {
			return newDeskFor(t, emulator.Options{Plain: true, NoCardAuth: true}, (*unlocktest.Installation).EnrolBare)
		},
		"GIDS": func(t testing.TB) *desk { return newDesk(t, emulator.Options{Family: emulator.FamilyGIDS}) },
		"GIDS external": func(t testing.TB) *desk {
			return newDesk(t, emulator.Options{Family: emulator.FamilyGIDS, ExternalOnly: true})
		},
		"GIDS rotating": func(t testing.TB) *desk {
			return newDeskOf(t, unlocktest.Options{Escrow: []escrow.Option{escrow.WithAdministrationKeyRotation()}},
				emulator.Options{Family: emulator.FamilyGIDS}, (*unlocktest.Installation).Enrol)
		},
		"OpenPGP": func(t testing.TB) *desk { return newDesk(t, emulator.Options{Family: emulator.FamilyOpenPGP}) },
	}
}

// commands is how many commands the work on the card takes.
func commands(t *testing.T, desk func(testing.TB) *desk) int {
	d := desk(t)
	d.verified()
	most := 0
	d.card.SetFaults(func(n int, _ []byte) emulator.Fault {
		most = max(most, n)
		return emulator.Fault{}
	})
	if err := d.confirm(passcode); err != nil {
		t.Fatal(err)
	}
	d.engine.Close(t.Context())
	d.card.SetFaults(nil)
	return most
}

// TestCardPulledAtAnyCommand pulls the card at each command of the work, before
// and after it acted, and puts it back: the work goes on by itself.
func TestCardPulledAtAnyCommand(t *testing.T) {
	for name, desk := range kinds() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := commands(t, desk)
			for n := 1; n <= all; n++ {
				for _, after := range []bool{false, true} {
					d := desk(t)
					d.verified()
					d.card.SetFaults(tear(n, after))
					if err := d.engine.SetPasscode(t.Context(), passcode); err != nil {
						t.Fatal(err)
					}
					v := d.await(func(v journey.View) bool { return v.Waiting != nil || v.Step != journey.StepWorking })
					if v.Waiting != nil {
						d.readers.Insert(reader, d.card)
					}
					d.await(func(v journey.View) bool { return v.Step == journey.StepDone || v.Step == journey.StepEnded })
					if v := d.engine.View(); v.Step != journey.StepDone {
						t.Fatalf("command %d, after %v: %v", n, after, v.Problem)
					}
					d.readers.Insert(reader, d.card)
					d.unlocked(passcode)
				}
			}
		})
	}
}

// crash runs an attempt that ends with the card torn out at command n and the
// application killed: nothing more is reported.
func (d *desk) crash(n int, after bool) {
	d.t.Helper()
	d.verified()
	d.card.SetFaults(tear(n, after))
	if err := d.engine.SetPasscode(d.t.Context(), passcode); err != nil {
		d.t.Fatal(err)
	}
	d.await(func(v journey.View) bool { return v.Waiting != nil || v.Step != journey.StepWorking })
	d.engine.Close(d.t.Context())
	d.card.SetFaults(nil)
	d.readers.Insert(reader, d.card)
	if err := d.card.Lock(); err != nil {
		d.t.Fatal(err)
	}
	d.restart()
}

// TestAnyFaultThenAgain: after a crash at any command the next attempt, or the
// one after it, unlocks the card (R7).
func TestAnyFaultThenAgain(t *testing.T) {
	for name, desk := range kinds() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := commands(t, desk)
			for n := 1; n <= all; n++ {
				for _, after := range []bool{false, true} {
					d := desk(t)
					d.crash(n, after)
					d.mustUnlockWithin(2, fmt.Sprintf("crash at %d, after %v", n, after))
				}
			}
		})
	}
}

// TestAnyTwoFaultsThenAgain does the same after crashes in two attempts in a
// row.
func TestAnyTwoFaultsThenAgain(t *testing.T) {
	for name, desk := range kinds() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all, tried, pairs := commands(t, desk), 0, 0
			for first := 1; first <= all; first++ {
				for second := 1; second <= all+14; second++ {
					if pairs++; (first*7+second*3)%sample() != 0 {
						continue
					}
					tried++
					d := desk(t)
					d.crash(first, true)
					d.crash(second, true)
					d.mustUnlockWithin(2, fmt.Sprintf("crashes at %d and %d", first, second))
				}
			}
			t.Logf("%d of %d pairs of crashes tried", tried, pairs)
		})
	}
}

// TestPulledAndPutBackAfterACrash does the same where the second fault is no crash:
// the card is pulled and put back, and the work goes on.
func TestPulledAndPutBackAfterACrash(t *testing.T) {
	for name, desk := range kinds() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all, tried, pairs := commands(t, desk), 0, 0
			for first := 1; first <= all; first++ {
				for second := 1; second <= all+14; second++ {
					for _, after := range []bool{false, true} {
						if pairs++; (first*7+second*3)%sample() != 0 {
							continue
						}
						tried++
						d := desk(t)
						d.crash(first, true)
						d.pullOnce(second, after)
						d.restart()
						if err := d.card.Lock(); err != nil {
							t.Fatal(err)
						}
						d.mustUnlockWithin(2, fmt.Sprintf("a crash at %d, then pulled at %d, after %v", first, second, after))
					}
				}
			}
			t.Logf("%d of %d pairs of faults tried", tried, pairs)
		})
	}
}

// pullOnce runs an attempt in which the card is torn out at a command and put
// back. It may end in any way.
func (d *desk) pullOnce(n int, after bool) {
	d.t.Helper()
	d.verified()
	d.card.SetFaults(tear(n, after))
	if err := d.engine.SetPasscode(d.t.Context(), passcode); err != nil {
		d.t.Fatal(err)
	}
	v := d.await(func(v journey.View) bool { return v.Waiting != nil || v.Step != journey.StepWorking })
	if v.Waiting != nil {
		d.readers.Insert(reader, d.card)
		v = d.await(func(v journey.View) bool { return v.Step != journey.StepWorking })
	}
	d.engine.Close(d.t.Context())
	d.card.SetFaults(nil)
	d.readers.Insert(reader, d.card)
	if v.Step == journey.StepEnded && v.Problem.Code == problem.PUKLastTry {
		d.t.Errorf("pulled at %d, after %v: the card is down to its last try", n, after)
	}
}

// sample is how many pairs of faults there are to one that is tried. The soak
// run tries all of them.
func sample() int {
	if os.Getenv("LATCHKEY_SOAK") != "" {
		return 1
	}
	return 5
}

// mustUnlockWithin unlocks the card in at most so many attempts, and the key
// that it holds then is one that the escrow has.
func (d *desk) mustUnlockWithin(attempts int, what string) {
	d.t.Helper()
	var err error
	for range attempts {
		d.verified()
		if err = d.confirm(passcode); err == nil {
			d.unlocked(passcode)
			return
		}
		d.restart()
	}
	d.t.Errorf("%s: not unlocked in %d attempts: %v (tries of the key: %d)", what, attempts, err, journeytest.Tries(d.card.State()))
}

// flaky is a network that fails when it is told to.
type flaky struct {
	mu    sync.Mutex
	fails func(n int, path string) (before, after bool)
	count int
}

func (f *flaky) proxy(t testing.TB, to string) string {
	target, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		f.count++
		before, after := f.fails(f.count, r.URL.Path)
		f.mu.Unlock()
		if before {
			panic(http.ErrAbortHandler)
		}
		if after {
			proxy.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler) // the answer gets lost
		}
		proxy.ServeHTTP(w, r)
	}))
	server.Config.ErrorLog = nil
	t.Cleanup(server.Close)
	return server.URL
}

// TestAnswersThatGetLost loses each request, and each answer, of the work once.
func TestAnswersThatGetLost(t *testing.T) {
	for _, call := range []string{"release", "report"} {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, after %v", call, after), func(t *testing.T) {
				t.Parallel()
				d := newDesk(t, emulator.Options{})
				lost := false
				f := &flaky{fails: func(_ int, path string) (bool, bool) {
					if lost || len(path) < len(call) || path[len(path)-len(call):] != call {
						return false, false
					}
					lost = true
					return !after, after
				}}
				d.through(f)
				d.verified()
				if err := d.confirm(passcode); err != nil {
					t.Fatal(err)
				}
				d.unlocked(passcode)
				if keys := d.Candidates(t, d.card); len(keys) != 1 {
					t.Errorf("%d candidates: the report did not arrive", len(keys))
				}
			})
		}
	}
}

// TestReportThatComesLater: the service is away when the card is done. The
// person is not kept waiting, and the report comes when it is back.
func TestReportThatComesLater(t *testing.T) {
	d := newDesk(t, emulator.Options{})
	var mu sync.Mutex
	away := true
	d.through(&flaky{fails: func(_ int, path string) (bool, bool) {
		mu.Lock()
		defer mu.Unlock()
		return away && path[len(path)-6:] == "report", false
	}})
	d.verified()
	if err := d.confirm(passcode); err != nil {
		t.Fatal(err)
	}
	if keys := d.Candidates(t, d.card); len(keys) != 2 {
		t.Errorf("%d candidates before the report", len(keys))
	}
	mu.Lock()
	away = false
	mu.Unlock()
	d.unlocked(passcode) // Close delivers it
	if keys := d.Candidates(t, d.card); len(keys) != 1 {
		t.Errorf("%d candidates after the report", len(keys))
	}
}

// through puts a network between the application and the service.
func (d *desk) through(f *flaky) {
	d.t.Helper()
	client, err := api.NewClient(f.proxy(d.t, d.Client.Address()), nil)
	if err != nil {
		d.t.Fatal(err)
	}
	d.Client = client
	d.restart()
}

func TestFaultsHaveCodes(t *testing.T) {
	for err, want := range map[error]problem.Code{
		card.ErrNoService: problem.NoReaderService, card.ErrNoReader: problem.NoReader, card.ErrReaderGone: problem.ReaderGone,
		card.ErrNoCard: problem.NoCard, card.ErrMute: problem.CardMute, card.ErrRemoved: problem.CardRemoved,
		card.ErrReset: problem.CardBusy, card.ErrBusy: problem.CardBusy, card.ErrUnrecognised: problem.CardUnknown,
		card.ErrNotSupported: problem.CardCannot, card.ErrRefusedPIN: problem.PasscodeRefused, card.ErrMalformed: problem.CardMalformed,
		card.WrongKeyError{Reference: card.ReferencePIN, TriesLeft: 1}: problem.PasscodeWrong,
		card.WrongKeyError{Reference: card.ReferencePUK, TriesLeft: 1}: problem.PUKWrong,
		card.BlockedError{Reference: card.ReferencePIN}:                problem.CardLocked,
		card.BlockedError{Reference: card.ReferencePUK}:                problem.PUKBlocked,
		card.DisabledError{Reference: card.ReferencePUK}:               problem.PUKDisabled,
		card.LastTryError{Reference: card.ReferenceAdminPIN}:           problem.PUKLastTry,
		card.ErrNotAuthenticated:                                       problem.CardBusy,
		card.StatusError{Command: "VERIFY", SW: 0x6F00}:                problem.CardMalformed,
		problem.New(problem.CodeWrong):                                 problem.CodeWrong,
		errors.New("anything else"):                                    problem.Internal,
	} {
		if p := journey.Fault(fmt.Errorf("doing something: %w", err)); p.Code != want {
			t.Errorf("%v: %s, want %s", err, p.Code, want)
		}
	}
}
