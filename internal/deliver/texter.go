package deliver

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"latchkey/internal/deliver/text"
	"latchkey/internal/problem"
)

// TexterOptions say how text messages leave.
type TexterOptions struct {
	// Providers in the order in which they are tried; with none messages go to
	// Dir alone.
	Providers []text.Provider
	// Dir is a folder that every message is also written to, one JSON file
	// each; "" for none.
	Dir   string
	Words *TextWords
	Now   func() time.Time // nil is time.Now
}

// Texter writes and sends text messages.
type Texter struct {
	o    TexterOptions
	send text.Provider // nil: nobody
	// observe is told how each provider that was asked answered.
	observe func(provider string, err error)
}

// aloneAside is how long the only provider is left alone after a failure: it
// has nobody to stand in for it.
const aloneAside = time.Second

// NewTexter makes a Texter. Error: problem.ConfigInvalid.
func NewTexter(o TexterOptions) (*Texter, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	t := &Texter{o: o, observe: func(string, error) {}}
	if len(o.Providers) > 0 {
		f := text.FailoverOptions{Now: o.Now, Observe: func(provider string, err error) { t.observe(provider, err) }}
		if len(o.Providers) == 1 {
			f.Aside = aloneAside
		}
		t.send = text.NewFailover(o.Providers, f)
	}
	if o.Dir != "" {
		if err := os.MkdirAll(o.Dir, 0o700); err != nil {
			return nil, problem.Wrap(problem.ConfigInvalid, fmt.Errorf("folder of messages: %w", err))
		}
	}
	return t, nil
}

// SendCode sends a security code. Errors: text.Error, and any other error
// where it is not known whether the message was taken.
func (t *Texter) SendCode(ctx context.Context, c CodeMessage, reference string) (text.Sent, error) {
	body, err := t.o.Words.code(c)
	if err != nil {
		return text.Sent{}, unwritten(err)
	}
	return t.post(ctx, text.Message{To: c.To.Address, Body: body, Reference: reference})
}

// SendNotice tells a holder what happens to their card, with SendCode's errors.
func (t *Texter) SendNotice(ctx context.Context, n NoticeMessage, reference string) (text.Sent, error) {
	body, err := t.o.Words.notice(n)
	if err != nil {
		return text.Sent{}, unwritten(err)
	}
	return t.post(ctx, text.Message{To: n.To.Address, Body: body, Reference: reference})
}

// unwritten is the error of a message that could not be written: nobody was
// asked to take it.
func unwritten(err error) error {
	return &text.Error{Provider: "latchkey", Kind: text.Refused, Code: "template", Err: err}
}

func (t *Texter) post(ctx context.Context, m text.Message) (text.Sent, error) {
	sent := text.Sent{Provider: providerFolder, Parts: text.Measure(m.Body).Parts}
	if t.send != nil {
		var err error
		if sent, err = t.send.Send(ctx, m); err != nil {
			return sent, err
		}
	}
	if err := t.keep(m, sent); err != nil {
		if t.send == nil {
			return sent, &text.Error{Provider: providerFolder, Kind: text.Away, Code: "folder", Err: err}
		}
		return sent, notKept{err}
	}
	return sent, nil
}

// keptText is a text message as it is written to the folder.
type keptText struct {
	To        string    `json:"to"`
	Body      string    `json:"body"`
	Reference string    `json:"reference"`
	Provider  string    `json:"provider"`
	At        time.Time `json:"at"`
}

func (t *Texter) keep(m text.Message, sent text.Sent) error {
	if t.o.Dir == "" {
		return nil
	}
	now := t.o.Now().UTC()
	raw, err := json.MarshalIndent(keptText{To: m.To, Body: m.Body, Reference: m.Reference, Provider: sent.Provider, At: now}, "", "  ")
	if err != nil {
		return fmt.Errorf("write the message: %w", err)
	}
	return keepFile(t.o.Dir, now, ".json", append(raw, '\n'))
}

// receiver is the provider of a name that calls back over HTTP.
func (t *Texter) receiver(name string) (text.Receiver, bool) {
	i := slices.IndexFunc(t.o.Providers, func(p text.Provider) bool { return strings.EqualFold(p.Name(), name) })
	if i < 0 {
		return nil, false
	}
	r, ok := t.o.Providers[i].(text.Receiver)
	return r, ok
}
