package journey

import (
	"context"
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"latchkey/internal/api"
	"latchkey/internal/card"
	"latchkey/internal/card/recognise"
	"latchkey/internal/problem"
)

// Service is what the journey needs of the service; api.Client is one. Its
// errors are problems.
type Service interface {
	Address() string
	Service(ctx context.Context) (api.Service, error)
	Start(ctx context.Context, r api.StartRequest) (api.Session, error)
	Session(ctx context.Context, who api.Credentials) (api.Session, error)
	Abandon(ctx context.Context, who api.Credentials) error
	Prove(ctx context.Context, who api.Credentials, r api.ProofRequest) (api.Session, error)
	SendCode(ctx context.Context, who api.Credentials, r api.CodeRequest) (api.CodeSent, error)
	CheckCode(ctx context.Context, who api.Credentials, r api.CodeCheck) (api.Session, error)
	StartFace(ctx context.Context, who api.Credentials, r api.FaceRequest) (api.FaceScan, error)
	FaceStep(ctx context.Context, who api.Credentials, r api.FaceStepDone) (api.FaceStep, error)
	SendFaces(ctx context.Context, who api.Credentials, r api.FaceFrames) (api.Session, error)
	Release(ctx context.Context, who api.Credentials, r api.ReleaseRequest) (api.Envelope, error)
	Report(ctx context.Context, who api.Credentials, r api.Report) (api.Reported, error)
}

// session is one run of the journey, from Start to its end.
type session struct {
	who         api.Credentials
	service     api.Service // as it was at the start; its signing key is pinned
	private     hpke.PrivateKey
	nonce       []byte
	identity    card.Identity
	reader      string
	rules       api.PasscodeRules
	cardPIN     card.PINRules
	application string // see View.Application
	step        int    // the step of the release that is under way, from 1
	// scan is the scan of the face that is under way; nil for none.
	scan *scan
	// unheard is the refusal of a key that the service has not heard of yet:
	// it must, before anything else is tried on the card.
	unheard *api.Report
	// unanswered says that nothing is known of a key that the card was
	// presented, with wasBlocked: its passcode was blocked before.
	unanswered *api.Report
	wasBlocked bool
}

// readTimeout bounds reading what a card says of itself.
const readTimeout = 10 * time.Second

// find opens one application of a card.
type find = func(context.Context, card.Conn) (card.Card, error)

// of finds the application that a session was begun with.
func (e *Engine) of(s *session) find {
	return func(ctx context.Context, conn card.Conn) (card.Card, error) {
		return e.o.Recognise.OpenFamily(ctx, conn, s.identity.Family)
	}
}

// meant finds the application that a person with a locked card means and names
// it, where the card has several (recognise.Choose).
func (e *Engine) meant(name *string) find {
	return func(ctx context.Context, conn card.Conn) (card.Card, error) {
		found, err := e.o.Recognise.Look(ctx, conn)
		if err != nil {
			return nil, err
		}
		a, err := recognise.Choose(found)
		if err != nil {
			return nil, err
		}
		*name = ""
		if len(recognise.Useful(found)) > 1 {
			*name = applicationName(a.Identity)
		}
		return a.Card, a.Card.Select(ctx)
	}
}

// first finds the first application of use, and names it as meant does.
func (e *Engine) first(name *string) find {
	return func(ctx context.Context, conn card.Conn) (card.Card, error) {
		found, err := e.o.Recognise.Look(ctx, conn)
		if err != nil {
			return nil, err
		}
		if useful := recognise.Useful(found); len(useful) > 1 {
			*name = applicationName(useful[0].Identity)
		}
		return e.o.Recognise.Open(ctx, conn)
	}
}

// applicationName is what people may know an application of a card by.
func applicationName(id card.Identity) string {
	switch id.Family {
	case card.FamilyPIV:
		return "PIV"
	case card.FamilyGIDS:
		return "GIDS"
	case card.FamilyOpenPGP:
		return "OpenPGP"
	}
	return id.Model
}

// open connects to the card in a reader, holds it exclusively and opens one of
// its applications. close ends the hold.
func (e *Engine) open(ctx context.Context, reader string, wait time.Duration, find find) (c card.Card, close func(card.Disposition), err error) {
	conn, err := e.o.Readers.Connect(ctx, reader)
	if err != nil {
		return nil, nil, err
	}
	close = func(d card.Disposition) {
		// A card that has gone needs no end; others would wait for us.
		if err := errors.Join(conn.End(d), conn.Close()); err != nil {
			e.o.Log.Debug("card not let go of", "err", err)
		}
	}
	waiting, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	err = conn.Begin(waiting)
	for tries := 0; errors.Is(err, card.ErrReset) && tries < 3; tries++ {
		if err = conn.Reconnect(waiting); err == nil {
			err = conn.Begin(waiting)
		}
	}
	if err != nil {
		return nil, nil, errors.Join(err, conn.Close())
	}
	if c, err = find(ctx, conn); err != nil {
		close(card.LeaveCard)
		return nil, nil, err
	}
	return c, close, nil
}

// facts are what a card says of itself.
type facts struct {
	identity     card.Identity
	state        card.State
	certificates []card.Certificate
	rules        card.PINRules
	kinds        []card.KeyKind // of the keys that unblock it
	application  string         // see View.Application
}

// read reads the card that is to be unlocked. Only one that is locked is chosen
// among several applications by what is locked.
func (e *Engine) read(ctx context.Context, reader string, purpose api.Purpose) (facts, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	name, which := "", e.meant
	if purpose != api.PurposeLocked {
		which = e.first
	}
	c, done, err := e.open(ctx, reader, readTimeout, which(&name))
	if err != nil {
		return facts{}, err
	}
	defer done(card.LeaveCard)
	f := facts{rules: c.PINRules(), kinds: card.KeyKinds(c), application: name}
	if f.identity, err = c.Identity(ctx); err != nil {
		return facts{}, err
	}
	if f.state, err = c.State(ctx); err != nil {
		return facts{}, err
	}
	f.certificates, err = c.Certificates(ctx)
	return f, err
}

// usable says what is wrong with a card before the service is asked, nil for
// nothing.
func (f facts) usable(purpose api.Purpose, now time.Time) error {
	if err := Spare(f.state, f.kinds, 0); err != nil {
		return err
	}
	if purpose == api.PurposeLocked && f.state.PIN.Known && f.state.PIN.Left > 0 {
		return problem.New(problem.CardNotLocked)
	}
	for _, c := range f.certificates {
		cert, err := x509.ParseCertificate(c.DER)
		if err == nil && c.Slot == "9A" && now.After(cert.NotAfter) {
			return problem.New(problem.CertExpired)
		}
	}
	return nil
}

// begin starts a session for the card in a reader and has the card prove
// itself.
func (e *Engine) begin(ctx context.Context, purpose api.Purpose, reader string) (*session, api.Session, error) {
	info, err := e.greet(ctx)
	if err != nil {
		return nil, api.Session{}, err
	}
	f, err := e.read(ctx, reader, purpose)
	if err != nil {
		return nil, api.Session{}, Fault(err)
	}
	if err := f.usable(purpose, info.Time); err != nil {
		return nil, api.Session{}, err
	}
	private, err := hpke.DHKEM(ecdh.X25519()).GenerateKey()
	if err != nil {
		return nil, api.Session{}, fmt.Errorf("make the session's key: %w", err)
	}
	s := &session{service: info, private: private, identity: f.identity, reader: reader, cardPIN: f.rules, application: f.application, step: 1}
	started, err := e.o.Service.Start(ctx, api.StartRequest{Application: e.o.Application, APIVersion: api.Version,
		Purpose: purpose, Workstation: e.o.Workstation, Card: claim(f), PublicKey: private.PublicKey().Bytes()})
	if err != nil {
		return nil, api.Session{}, err
	}
	s.who, s.nonce = api.Credentials{ID: started.ID, Token: started.Token}, started.Nonce
	proof, err := e.prove(ctx, s, f)
	if err != nil {
		return nil, api.Session{}, Fault(err)
	}
	proven, err := e.o.Service.Prove(ctx, s.who, proof)
	s.rules = proven.PasscodeRules
	return s, proven, err
}

// meetPatience is how long Meet waits for the service.
const meetPatience = 10 * time.Second

// Meet asks the service who it is before anybody needs to know: who the
// Registration Authority is helps most those who get no further than the
// first page. That the service is away matters only when it is needed.
func (e *Engine) Meet(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, meetPatience)
	defer cancel()
	if _, err := e.greet(ctx); err != nil {
		e.o.Log.Debug("the service was not met", "err", err)
	}
}

// greet asks the service who it is and checks that against what is pinned.
func (e *Engine) greet(ctx context.Context) (api.Service, error) {
	if e.o.Service == nil {
		return api.Service{}, problem.New(problem.ServiceUnset)
	}
	info, err := e.o.Service.Service(ctx)
	if err != nil {
		return info, err
	}
	if err := e.o.Pins.Check(e.o.Service.Address(), info.SigningKey); err != nil {
		return info, err
	}
	if info.APIVersion > api.Version {
		return info, problem.New(problem.NewerService)
	}
	if err := contactFile(e.o.ContactFile).write(info.Contact); err != nil {
		e.o.Log.Debug("contact not kept", "err", err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.service = info
	return info, nil
}

func claim(f facts) api.Card {
	c := api.Card{Family: string(f.identity.Family), ID: f.identity.ID, Serial: f.identity.Serial, Model: f.identity.Model,
		PINTriesLeft: left(f.state.PIN), KeyTriesLeft: keysLeft(f.state)}
	for _, cert := range f.certificates {
		c.Certificates = append(c.Certificates, api.Certificate{Slot: cert.Slot, DER: cert.DER})
	}
	return c
}

func left(c card.Counter) *int {
	if !c.Known {
		return nil
	}
	return &c.Left
}

// keysLeft is how many tries of its unlocking keys a card tells, by kind.
func keysLeft(s card.State) map[string]int {
	out := map[string]int{}
	for kind, c := range s.Keys {
		if c.Known {
			out[string(kind)] = c.Left
		}
	}
	return out
}

// prove has the card sign that it is the card of the session. A card without a
// key for that proves nothing; whether that will do is for the service to say.
func (e *Engine) prove(ctx context.Context, s *session, f facts) (api.ProofRequest, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	c, done, err := e.open(ctx, s.reader, card.BusyWait, e.of(s))
	if err != nil {
		return api.ProofRequest{}, err
	}
	defer done(card.LeaveCard)
	if err := s.same(ctx, c); err != nil {
		return api.ProofRequest{}, err
	}
	proof, err := c.Prove(ctx, api.ProofDigest(api.PurposeCardProof, s.service.Name, s.who.ID, s.publicKey(), s.nonce, 0))
	if errors.Is(err, card.ErrNotSupported) {
		return api.ProofRequest{}, nil
	}
	r := api.ProofRequest{Slot: proof.Slot, Signature: proof.Signature}
	for _, cert := range f.certificates {
		if cert.Slot == proof.Slot {
			r.Certificate = cert.DER
		}
	}
	return r, err
}

func (s *session) publicKey() []byte { return s.private.PublicKey().Bytes() }

// same makes sure that a card is the one of the session.
func (s *session) same(ctx context.Context, c card.Card) error {
	id, err := c.Identity(ctx)
	if err != nil {
		return err
	}
	if id.ID != s.identity.ID || id.Serial != s.identity.Serial {
		return problem.New(problem.CardSwapped)
	}
	return nil
}
