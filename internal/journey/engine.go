// Package journey is where a person is on their way to an unlocked card, and
// the work on the card itself. The pages and the terminal both show one Engine.
//
// It promises:
//   - R1: the passcode goes to the card and nowhere else. It is kept in memory
//     from the moment it is typed until the card has it or the session ends,
//     and is in no log, error or View;
//   - an unlocking key is used only on the card of the session, after its
//     identity was read again inside one exclusive transaction that ends with
//     a reset, and only from an envelope that the pinned service has signed;
//   - R3: no unblock is tried while the card says that one try is left;
//   - a card that is pulled and put back, a reader that goes and comes back, a
//     service that is away for a while: the work goes on where it was.
package journey

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"latchkey/internal/api"
	"latchkey/internal/card"
	"latchkey/internal/card/recognise"
	"latchkey/internal/passcode"
	"latchkey/internal/problem"
)

// Options of New.
type Options struct {
	Readers     card.Readers
	Service     Service // nil: none is set
	Pins        *api.Pins
	Workstation string // name of this computer, shown to the holder
	Application string // version
	Reader      string // look at this reader only; "" for all
	Recognise   recognise.Recogniser
	ContactFile string // keeps the Registration Authority's contact for when the service is away; "" does not
	Log         *slog.Logger
	Now         func() time.Time // nil is time.Now
}

// Engine is one person's journey. It is safe for use by many goroutines.
type Engine struct {
	o      Options
	looker *looker
	outbox *outbox

	// doing makes the steps that talk to the service or to the card follow
	// each other, whatever tab they come from.
	doing sync.Mutex

	mu      sync.Mutex
	view    View
	changed chan struct{}
	session *session
	service api.Service
	cancel  context.CancelFunc // of the work on the card; nil where none is under way
	working chan struct{}      // closed when that work has ended
}

// New makes an Engine that watches the readers until ctx ends.
func New(ctx context.Context, o Options) *Engine {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	e := &Engine{o: o, changed: make(chan struct{}), outbox: newOutbox(o.Service, o.Log)}
	e.service.Contact = contactFile(o.ContactFile).read()
	e.looker = newLooker(o.Reader, e.glance)
	go e.looker.run(ctx, o.Readers)
	go e.outbox.run(ctx)
	return e
}

// Watch sends what the readers see at once and after each change, until ctx
// ends. Reading spends no try of a card.
func (e *Engine) Watch(ctx context.Context) <-chan Status { return e.looker.watch(ctx) }

// View is where the journey stands.
func (e *Engine) View() View {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.view
}

// Changed is closed at the next change of View.
func (e *Engine) Changed() <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.changed
}

// Service is what the service said of itself last.
func (e *Engine) Service() api.Service {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.service
}

// Rules are the rules for a new passcode in words.
func (e *Engine) Rules() []string { return e.rules().Words() }

// rules are those of the session; before one, those that the service named and
// every PIV card shares.
func (e *Engine) rules() passcode.Rules {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.session != nil {
		return passcode.Combine(e.session.rules, e.session.cardPIN)
	}
	return passcode.Combine(e.service.PasscodeRules, card.PINRules{MinLength: 6, MaxLength: 8, DigitsOnly: true})
}

// set changes the view and wakes those who wait for that.
func (e *Engine) set(change func(v *View)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	change(&e.view)
	close(e.changed)
	e.changed = make(chan struct{})
}

// current is the session under way, nil where there is none.
func (e *Engine) current() *session {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.session
}

// Start begins an unlock session for the card in a reader. One that is under
// way is given up first.
func (e *Engine) Start(ctx context.Context, purpose api.Purpose, reader string) error {
	e.doing.Lock()
	defer e.doing.Unlock()
	e.leave(ctx)
	s, started, err := e.begin(ctx, purpose, reader)
	if err != nil {
		return err
	}
	e.mu.Lock()
	e.session = s
	e.mu.Unlock()
	e.set(func(v *View) {
		*v = View{Step: StepMethod, Purpose: purpose, Methods: started.Methods, Ends: e.ends(started.SecondsLeft), Application: s.application}
	})
	return nil
}

func (e *Engine) ends(secondsLeft int) time.Time {
	return e.o.Now().Add(time.Duration(secondsLeft) * time.Second)
}

// Abandon gives the session up. Without one it does nothing.
func (e *Engine) Abandon(ctx context.Context) error {
	e.doing.Lock()
	defer e.doing.Unlock()
	e.leave(ctx)
	return nil
}

// leaveTimeout is how long giving up waits for the service. It hears of it or
// not: the session ends by itself.
const leaveTimeout = 3 * time.Second

func (e *Engine) leave(ctx context.Context) {
	e.stopWork()
	s := e.current()
	if s == nil {
		return
	}
	e.dropScan(s)
	final := e.View().Step == StepDone || e.View().Step == StepEnded
	e.mu.Lock()
	e.session = nil
	e.mu.Unlock()
	e.set(func(v *View) { *v = View{} })
	if final {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, leaveTimeout)
	defer cancel()
	if err := e.o.Service.Abandon(ctx, s.who); err != nil {
		e.o.Log.Debug("session not given up at the service", "err", err)
	}
}

// SendCode asks the service for a security code at an address.
func (e *Engine) SendCode(ctx context.Context, method api.Method, address string) error {
	e.doing.Lock()
	defer e.doing.Unlock()
	s := e.current()
	if s == nil {
		return problem.New(problem.SessionState)
	}
	sent, err := e.o.Service.SendCode(ctx, s.who, api.CodeRequest{Method: method, Address: address})
	if err != nil {
		return e.ended(err)
	}
	e.dropScan(s)
	e.set(func(v *View) {
		v.Step, v.Method, v.Address, v.Face = StepCode, method, address, Face{}
		v.SendsLeft, v.Ends = sent.SendsLeft, e.ends(sent.SecondsLeft)
		v.ResendAt = e.o.Now().Add(time.Duration(sent.ResendAfterSeconds) * time.Second)
	})
	return nil
}

// CheckCode presents a security code.
func (e *Engine) CheckCode(ctx context.Context, code string) error {
	e.doing.Lock()
	defer e.doing.Unlock()
	s := e.current()
	if s == nil {
		return problem.New(problem.SessionState)
	}
	checked, err := e.o.Service.CheckCode(ctx, s.who, api.CodeCheck{Code: code})
	if err != nil {
		if checked, err = e.asked(ctx, s, err); err != nil {
			return e.ended(err)
		}
	}
	e.set(func(v *View) {
		v.Step, v.TriesLeft, v.Ends = StepPasscode, nil, e.ends(checked.SecondsLeft)
	})
	return nil
}

// asked finds out whether a code was taken though the answer got lost.
func (e *Engine) asked(ctx context.Context, s *session, lost error) (api.Session, error) {
	switch problem.CodeOf(lost) {
	case problem.ServiceUnreachable, problem.ServiceSlow, problem.ServiceAnswer, problem.SessionState:
	default:
		return api.Session{}, lost
	}
	now, err := e.o.Service.Session(ctx, s.who)
	if err != nil || now.State != api.StateVerified {
		return api.Session{}, lost
	}
	return now, nil
}

// ended notes what an error says of the session, and gives it back.
func (e *Engine) ended(err error) error {
	p := Fault(err)
	switch p.Code {
	case problem.SessionExpired, problem.SessionUnknown, problem.SessionReplaced, problem.SessionFinished, problem.CodeTries,
		problem.CardNotServed, problem.CardRevoked, problem.CardSuspended, problem.HolderSuspended, problem.CardExpired, problem.CertRevoked,
		problem.CertUntrusted:
		if s := e.current(); s != nil {
			e.dropScan(s)
		}
		e.set(func(v *View) { v.Step, v.Problem = StepEnded, p })
	case problem.CodeWrong:
		e.set(func(v *View) { v.TriesLeft = p.TriesLeft })
	}
	return p
}

// SetPasscode checks a passcode against the rules, and then unlocks the card
// with it in the background. View tells the progress.
func (e *Engine) SetPasscode(_ context.Context, passcode string) error {
	e.doing.Lock()
	defer e.doing.Unlock()
	s := e.current()
	if s == nil || e.View().Step != StepPasscode {
		return problem.New(problem.SessionState)
	}
	if err := e.rules().Check(passcode); err != nil {
		return err
	}
	// The work outlives the request that began it.
	ctx, cancel := context.WithDeadline(context.Background(), e.View().Ends)
	done := make(chan struct{})
	e.mu.Lock()
	e.cancel, e.working = cancel, done
	e.mu.Unlock()
	e.set(func(v *View) { v.Step, v.Progress, v.Waiting, v.Refused = StepWorking, ProgressRelease, nil, nil })
	go func() {
		defer close(done)
		defer cancel()
		e.work(ctx, s, passcode)
	}()
	return nil
}

// stopWork ends the work on the card between two commands and waits for that.
func (e *Engine) stopWork() {
	e.mu.Lock()
	cancel, working := e.cancel, e.working
	e.cancel, e.working = nil, nil
	e.mu.Unlock()
	if cancel != nil {
		cancel()
		<-working
	}
}

// Close ends the work and gives reports that the service has not had yet a
// last chance until ctx ends.
func (e *Engine) Close(ctx context.Context) {
	e.stopWork()
	e.outbox.flush(ctx)
}
