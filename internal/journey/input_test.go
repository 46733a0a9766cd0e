package journey_test

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"

	"latchkey/internal/api"
	"latchkey/internal/audit"
	"latchkey/internal/card"
	"latchkey/internal/card/emulator"
	"latchkey/internal/journey"
	"latchkey/internal/problem"
	"latchkey/internal/store"
)

// with is a desk whose application has other readers or another service.
func (d *desk) with(change func(*journey.Options)) {
	o := journey.Options{Readers: d.readers, Service: d.Client, Pins: d.Pins, Workstation: "ward-7", Application: "1.0.0"}
	change(&o)
	d.engine = journey.New(d.t.Context(), o)
}

func (d *desk) start() error { return d.engine.Start(d.t.Context(), api.PurposeLocked, reader) }

// happened are the actions of the audit trail.
func (d *desk) happened() []string {
	d.t.Helper()
	var out []string
	err := d.DB.View(d.t.Context(), func(tx *store.Tx) error {
		return tx.EachAudit(d.t.Context(), "test", 0, func(e store.AuditEvent) error {
			out = append(out, e.Action)
			return nil
		})
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return out
}

// TestUnknownCard: a card of another kind is asked who it is and nothing more;
// the service does not hear of it.
func TestUnknownCard(t *testing.T) {
	d := newDesk(t, emulator.Options{})
	before := d.card.State()
	var sent []byte
	d.card.SetFaults(func(_ int, command []byte) (f emulator.Fault) {
		sent = append(sent, command[1])
		if command[1] == 0xA4 { // SELECT
			f.Answer = []byte{0x6A, 0x82}
		}
		return f
	})
	wantCode(t, d.start(), problem.CardUnknown)
	for _, instruction := range []byte{0x20, 0x24, 0x2C} { // VERIFY, CHANGE REFERENCE DATA, RESET RETRY COUNTER
		if slices.Contains(sent, instruction) {
			t.Errorf("it was sent %02X", instruction)
		}
	}
	if after := d.card.State(); after.PINTries != before.PINTries || after.PUKTries != before.PUKTries {
		t.Error("a try was spent")
	}
	if slices.Contains(d.happened(), audit.SessionStarted) {
		t.Error("a session was started")
	}
}

// TestCardPulledAtAnyCommandOfTheStart: it says so, and with the card back in
// the journey begins.
func TestCardPulledAtAnyCommandOfTheStart(t *testing.T) {
	most := 0
	d := newDesk(t, emulator.Options{})
	d.card.SetFaults(func(n int, _ []byte) emulator.Fault { most = max(most, n); return emulator.Fault{} })
	if err := d.start(); err != nil || most < 5 {
		t.Fatalf("%v after %d commands", err, most)
	}
	for n := 1; n <= most; n++ {
		for _, after := range []bool{false, true} {
			d.restart()
			d.card.SetFaults(tear(n, after))
			if err := d.start(); err != nil && !journey.AtReader(problem.From(err)) {
				t.Errorf("command %d, after %v: %v", n, after, err)
			}
			d.card.SetFaults(nil)
			d.readers.Insert(reader, d.card)
			if err := d.start(); err != nil {
				t.Errorf("command %d, after %v: put back: %v", n, after, err)
			}
		}
	}
	if s := d.card.State(); s.PINTries != 0 || s.PUKTries != s.PUKTotal {
		t.Errorf("tries were spent: %d of the PUK left", s.PUKTries)
	}
}

// held are readers whose card another program holds.
type held struct {
	*emulator.Readers
	busy atomic.Bool
}

func (h *held) Connect(ctx context.Context, name string) (card.Conn, error) {
	c, err := h.Readers.Connect(ctx, name)
	if err == nil && h.busy.Load() {
		return heldConn{c}, nil
	}
	return c, err
}

// heldConn waited for as long as it was let.
type heldConn struct{ card.Conn }

func (heldConn) Begin(context.Context) error { return card.ErrBusy }

// TestBusyCard: another program holds the card at the start, and then when it
// is to be unlocked. Once that lets go the journey goes on by itself.
func TestBusyCard(t *testing.T) {
	d := newDesk(t, emulator.Options{})
	h := &held{Readers: d.readers}
	h.busy.Store(true)
	d.with(func(o *journey.Options) { o.Readers = h })
	wantCode(t, d.start(), problem.CardBusy)
	h.busy.Store(false)
	d.verified()
	h.busy.Store(true)
	if err := d.engine.SetPasscode(t.Context(), passcode); err != nil {
		t.Fatal(err)
	}
	d.await(func(v journey.View) bool { return v.Waiting != nil && v.Waiting.Code == problem.CardBusy })
	h.busy.Store(false)
	d.await(func(v journey.View) bool { return v.Step == journey.StepDone })
	d.unlocked(passcode)
}

// TestPUKThatWasBlockedOnPurpose: before firmware 5.3 a key does not tell the
// tries of its PUK. Why it is blocked it tells all the same.
func TestPUKThatWasBlockedOnPurpose(t *testing.T) {
	d := newDesk(t, emulator.Options{Firmware: "5.2.7", PUKDisabled: true})
	d.verified()
	wantCode(t, d.confirm(passcode), problem.PUKDisabled)
	d.engine.Close(t.Context())
	if !slices.Contains(d.happened(), audit.KeyBlocked) {
		t.Errorf("the audit trail has %v", d.happened())
	}
}

// TestPUKThatIsBlocked: a card that does not tell its counters says so only
// when it is asked. The Registration Authority finds it in the audit trail.
func TestPUKThatIsBlocked(t *testing.T) {
	d := newDesk(t, emulator.Options{Plain: true})
	d.verified()
	if err := d.card.Edit(func(s *emulator.State) { s.PUKTries = 0 }); err != nil {
		t.Fatal(err)
	}
	wantCode(t, d.confirm(passcode), problem.PUKBlocked)
	d.engine.Close(t.Context())
	if !slices.Contains(d.happened(), audit.KeyBlocked) {
		t.Errorf("the audit trail has %v", d.happened())
	}
	d.held()
}

// another is a service that says something else of itself.
type another struct {
	*api.Client
	change func(*api.Service)
}

func (a another) Service(ctx context.Context) (api.Service, error) {
	info, err := a.Client.Service(ctx)
	a.change(&info)
	return info, err
}

// TestNewerService: a service of a later version is not talked to any further.
func TestNewerService(t *testing.T) {
	d := newDesk(t, emulator.Options{})
	d.with(func(o *journey.Options) {
		o.Service = another{d.Client, func(s *api.Service) { s.APIVersion = api.Version + 1 }}
	})
	wantCode(t, d.start(), problem.NewerService)
	if slices.Contains(d.happened(), audit.SessionStarted) {
		t.Error("a session was started")
	}
}

// failing is a service each of whose calls fails with a problem.
type failing struct {
	*api.Client
	code *problem.Code
}

func (f failing) err() error {
	if *f.code == "" {
		return nil
	}
	return problem.New(*f.code)
}

func (f failing) Service(ctx context.Context) (api.Service, error) {
	if err := f.err(); err != nil {
		return api.Service{}, err
	}
	return f.Client.Service(ctx)
}

func (f failing) SendCode(ctx context.Context, who api.Credentials, r api.CodeRequest) (api.CodeSent, error) {
	if err := f.err(); err != nil {
		return api.CodeSent{}, err
	}
	return f.Client.SendCode(ctx, who, r)
}

func (f failing) CheckCode(ctx context.Context, who api.Credentials, r api.CodeCheck) (api.Session, error) {
	if err := f.err(); err != nil {
		return api.Session{}, err
	}
	return f.Client.CheckCode(ctx, who, r)
}

// TestServiceFaultsLoseNothing: whatever is the matter with the service or the
// way to it, at each step, the person is told that and carries on from there.
func TestServiceFaultsLoseNothing(t *testing.T) {
	for _, code := range []problem.Code{problem.ServiceUnreachable, problem.ServiceSlow, problem.ServiceCertificate, problem.ServiceAnswer,
		problem.DatabaseBusy, problem.DatabaseReadOnly, problem.DiskFull, problem.Internal} {
		d := newDesk(t, emulator.Options{})
		now := problem.Code("")
		d.with(func(o *journey.Options) { o.Service = failing{d.Client, &now} })
		ctx := t.Context()
		for _, step := range []func() error{
			d.start,
			func() error { return d.engine.SendCode(ctx, api.MethodEmail, "sam.taylor@example.org") },
			func() error { return d.engine.CheckCode(ctx, d.Code(t)) },
		} {
			now = code
			before := d.engine.View().Step
			wantCode(t, step(), code)
			if after := d.engine.View().Step; after != before {
				t.Errorf("%s: from %v to %v", code, before, after)
			}
			now = ""
			if err := step(); err != nil {
				t.Fatalf("%s: afterwards: %v", code, err)
			}
		}
		if err := d.confirm(passcode); err != nil {
			t.Errorf("%s: %v", code, err)
		}
	}
}

// TestPasscodesThatAreRefused: here, before the card is asked.
func TestPasscodesThatAreRefused(t *testing.T) {
	d := newDesk(t, emulator.Options{})
	d.verified()
	for typed, code := range map[string]problem.Code{"": problem.PasscodeMissing, "84026": problem.PasscodeShort, "840261840": problem.PasscodeLong,
		"84026a": problem.PasscodeNotDigits, "８４０２６１": problem.PasscodeNotDigits, "111111": problem.PasscodeGuessable, "654321": problem.PasscodeGuessable} {
		wantCode(t, d.confirm(typed), code)
	}
	if slices.Contains(d.happened(), audit.KeyReleased) {
		t.Error("a key was released for a passcode that could not be set")
	}
	if err := d.confirm(passcode); err != nil {
		t.Fatal(err)
	}
}
