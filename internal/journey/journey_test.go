package journey_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"latchkey/internal/api"
	"latchkey/internal/card/emulator"
	"latchkey/internal/journey"
	"latchkey/internal/problem"
	"latchkey/internal/unlock/unlocktest"
)

func TestUnlock(t *testing.T) {
	for name, o := range map[string]emulator.Options{
		"YubiKey": {}, "plain": {Plain: true}, "P-384": {Algorithm: "p384"}, "RSA": {Algorithm: "rsa2048"}, "compressed": {GzipCerts: true},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, o)
			for i, fresh := range []string{passcode, "573920", "918264"} {
				before := d.card.State().PUK
				d.verified()
				if err := d.confirm(fresh); err != nil {
					t.Fatal(err)
				}
				d.unlocked(fresh)
				if d.card.State().PUK == before {
					t.Error("the key is the old one")
				}
				if keys := d.Candidates(t, d.card); len(keys) != 1 || keys[0] != d.card.State().PUK {
					t.Errorf("the escrow holds %d candidates", len(keys))
				}
				if c := d.Card(t, d.card); c.Epoch != int64(i+2) || c.OpenAttempt != "" || c.TriesOut != 0 {
					t.Errorf("the escrow: epoch %d, open %q, tries out %d", c.Epoch, c.OpenAttempt, c.TriesOut)
				}
				if err := d.card.Lock(); err != nil {
					t.Fatal(err)
				}
			}
			if want := slices.Repeat([]string{"released", "unlocked"}, 3); !slices.Equal(d.Notices(), want) {
				t.Errorf("the holder was told of %v", d.Notices())
			}
		})
	}
}

// TestCardThatProvesNothing rotates once and then keeps its pair of keys.
func TestCardThatProvesNothing(t *testing.T) {
	d := newDeskFor(t, emulator.Options{Plain: true, NoCardAuth: true}, (*unlocktest.Installation).EnrolBare)
	seen := map[string]bool{oldPUK: true}
	for i := range 5 {
		d.verified()
		if err := d.confirm(passcode); err != nil {
			t.Fatal(i, err)
		}
		d.unlocked(passcode)
		seen[d.card.State().PUK] = true
		if keys := d.Candidates(t, d.card); len(keys) != 2 {
			t.Errorf("after unlock %d the escrow holds %d candidates", i+1, len(keys))
		}
		if err := d.card.Lock(); err != nil {
			t.Fatal(err)
		}
	}
	if len(seen) != 2 {
		t.Errorf("the card has had %d keys, want 2", len(seen))
	}
}

// TestOutcomeProvenByTheAuthenticationKey: without 9E the card signs the
// outcome with 9A, and its key is changed each time.
func TestOutcomeProvenByTheAuthenticationKey(t *testing.T) {
	d := newDesk(t, emulator.Options{NoCardAuth: true})
	for i := range 3 {
		d.verified()
		if err := d.confirm(passcode); err != nil {
			t.Fatal(err)
		}
		d.unlocked(passcode)
		if keys := d.Candidates(t, d.card); len(keys) != 1 {
			t.Errorf("after unlock %d the escrow holds %d candidates", i+1, len(keys))
		}
		if err := d.card.Lock(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPasscodeThatTheCardRefuses(t *testing.T) {
	d := newDesk(t, emulator.Options{RefusePINs: []string{"918273"}})
	d.verified()
	wantCode(t, d.confirm("123456"), problem.PasscodeGuessable)
	wantCode(t, d.confirm("12345"), problem.PasscodeShort)
	wantCode(t, d.confirm("918273"), problem.PasscodeRefused)
	if err := d.confirm(passcode); err != nil {
		t.Fatal(err)
	}
	d.unlocked(passcode)
}

func TestWhatTheCardSaysBeforeAnythingIsAsked(t *testing.T) {
	d := newDesk(t, emulator.Options{})
	edit := func(f func(*emulator.State)) {
		t.Helper()
		if err := d.card.Edit(f); err != nil {
			t.Fatal(err)
		}
	}
	start := func() error { return d.engine.Start(t.Context(), api.PurposeLocked, reader) }
	edit(func(s *emulator.State) { s.PINTries = 2 })
	wantCode(t, start(), problem.CardNotLocked)
	if err := d.engine.Start(t.Context(), api.PurposeForgotten, reader); err != nil {
		t.Error(err)
	}
	edit(func(s *emulator.State) { s.PINTries, s.PUKTries = 0, 0 })
	wantCode(t, start(), problem.PUKBlocked)
	edit(func(s *emulator.State) { s.PUKDisabled = true })
	wantCode(t, start(), problem.PUKDisabled)
	d.readers.Remove(reader)
	wantCode(t, start(), problem.NoCard)
	d.readers.Unplug(reader)
	wantCode(t, start(), problem.ReaderGone)
	d.readers.SetService(false)
	wantCode(t, start(), problem.NoReaderService)
}

// TestLastTryIsSpared stops before a card with one try left is asked (R3).
func TestLastTryIsSpared(t *testing.T) {
	d := newDesk(t, emulator.Options{})
	d.verified()
	if err := d.card.Edit(func(s *emulator.State) { s.PUKTries = 1 }); err != nil {
		t.Fatal(err)
	}
	wantCode(t, d.confirm(passcode), problem.PUKLastTry)
	if left := d.card.State().PUKTries; left != 1 {
		t.Errorf("%d tries left", left)
	}
}

// TestSwappedCard puts another card in between the start and the release.
func TestSwappedCard(t *testing.T) {
	d := newDesk(t, emulator.Options{})
	other, err := emulator.New(emulator.Options{PUK: oldPUK})
	if err != nil {
		t.Fatal(err)
	}
	d.verified()
	d.readers.Remove(reader)
	d.readers.Insert(reader, other)
	if err := d.engine.SetPasscode(t.Context(), passcode); err != nil {
		t.Fatal(err)
	}
	d.await(func(v journey.View) bool { return v.Waiting != nil && v.Waiting.Code == problem.CardSwapped })
	if other.State().PIN == passcode {
		t.Error("another card was unlocked")
	}
	d.readers.Remove(reader)
	d.readers.Insert(reader, d.card)
	d.await(func(v journey.View) bool { return v.Step == journey.StepDone })
	d.unlocked(passcode)
}

func TestChange(t *testing.T) {
	d := newDesk(t, emulator.Options{History: true})
	change := func(old, fresh string) error { return d.engine.Change(t.Context(), reader, old, fresh) }
	wantCode(t, change(oldPIN, passcode), problem.CardLocked)
	if err := d.card.Edit(func(s *emulator.State) { s.PINTries = 3 }); err != nil {
		t.Fatal(err)
	}
	wantCode(t, change("", passcode), problem.PasscodeMissing)
	wantCode(t, change(oldPIN, oldPIN), problem.PasscodeSame)
	wantCode(t, change(oldPIN, "111111"), problem.PasscodeGuessable)
	err := change("999111", passcode)
	wantCode(t, err, problem.PasscodeWrong)
	if p := problem.From(err); p.TriesLeft == nil || *p.TriesLeft != 2 {
		t.Errorf("tries left: %+v", p)
	}
	if err := change(oldPIN, passcode); err != nil {
		t.Fatal(err)
	}
	if d.card.State().PIN != passcode {
		t.Error("the passcode is the old one")
	}
}

func TestServiceThatIsNotThePinnedOne(t *testing.T) {
	d := newDesk(t, emulator.Options{})
	if err := d.Pins.Check(d.Client.Address(), make([]byte, 32)); err != nil {
		t.Fatal(err) // the first use pins a key that is not the service's
	}
	wantCode(t, d.engine.Start(t.Context(), api.PurposeLocked, reader), problem.ServicePin)
}

func TestStatus(t *testing.T) {
	d := newDesk(t, emulator.Options{})
	statuses := d.engine.Watch(t.Context())
	await := func(want string) {
		t.Helper()
		last := ""
		for s := range statuses {
			last = ""
			if s.Problem != nil {
				last = string(s.Problem.Code)
			}
			for _, c := range s.Cards {
				last += string(c.State)
			}
			if last == want {
				return
			}
		}
		t.Fatalf("the readers show %q, want %q", last, want)
	}
	await("locked")
	d.readers.Remove(reader)
	await(string(problem.NoCard))
	d.readers.Insert(reader, d.card)
	await("locked")
	second, err := emulator.New(emulator.Options{})
	if err != nil {
		t.Fatal(err)
	}
	d.readers.Insert("Reader 2", second)
	await("lockednot locked")
	d.readers.SetService(false)
	await(string(problem.NoReaderService))
}

// TestTwoSessions: the second verified session of a card supersedes the first.
func TestTwoSessions(t *testing.T) {
	d := newDesk(t, emulator.Options{})
	d.verified()
	first := d.engine
	d.restart()
	d.verified()
	second := d.engine
	d.engine = first
	wantCode(t, d.confirm(passcode), problem.SessionReplaced)
	d.engine = second
	if err := d.confirm(passcode); err != nil {
		t.Fatal(err)
	}
	d.unlocked(passcode)
}

func TestCodes(t *testing.T) {
	d := newDesk(t, emulator.Options{})
	ctx := t.Context()
	if err := d.engine.Start(ctx, api.PurposeLocked, reader); err != nil {
		t.Fatal(err)
	}
	wantCode(t, d.engine.CheckCode(ctx, "123456"), problem.CodeNotSent)
	wantCode(t, d.engine.SendCode(ctx, api.MethodEmail, "sam"), problem.AddressMalformed)
	wantCode(t, d.engine.SendCode(ctx, api.MethodFace, unlocktest.Email), problem.MethodUnavailable)
	if err := d.engine.SendCode(ctx, api.MethodEmail, unlocktest.Email); err != nil {
		t.Fatal(err)
	}
	wantCode(t, d.engine.CheckCode(ctx, ""), problem.CodeMissing)
	for range 4 {
		wantCode(t, d.engine.CheckCode(ctx, "0"), problem.CodeWrong)
	}
	wantCode(t, d.engine.CheckCode(ctx, "0"), problem.CodeTries)
	if v := d.engine.View(); v.Step != journey.StepEnded {
		t.Errorf("after five wrong codes: %+v", v)
	}
}

// TestCardWithTwoPasscodes: the one that is locked is chosen, and the person is
// told which it is. Afterwards the card still has the other as it was.
func TestCardWithTwoPasscodes(t *testing.T) {
	d := newDesk(t, emulator.Options{Family: emulator.FamilyYubiKey})
	if err := d.card.Edit(func(s *emulator.State) { s.OpenPGP.PINTries = 0 }); err != nil {
		t.Fatal(err)
	}
	d.verified()
	if v := d.engine.View(); v.Application != "PIV" {
		t.Errorf("the application is %q", v.Application)
	}
	openpgp := *d.card.State().OpenPGP
	if err := d.confirm(passcode); err != nil {
		t.Fatal(err)
	}
	d.unlocked(passcode)
	if diff := cmp.Diff(openpgp, *d.card.State().OpenPGP); diff != "" {
		t.Errorf("the other application has changed: %s", diff)
	}
	// Now the other is the one that is locked: it is not registered.
	wantCode(t, d.engine.Start(t.Context(), api.PurposeLocked, reader), problem.CardNotServed)
	if err := d.engine.Start(t.Context(), api.PurposeForgotten, reader); err != nil || d.engine.View().Application != "PIV" {
		t.Errorf("forgotten: %v, %q", err, d.engine.View().Application)
	}
	if err := d.engine.Change(t.Context(), reader, passcode, "975310"); err != nil {
		t.Errorf("change: %v", err)
	}
}
