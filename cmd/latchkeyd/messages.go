package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"latchkey/internal/daemon"
	"latchkey/internal/problem"
	"latchkey/internal/store"
)

type messagesCommand struct {
	List    messagesList    `cmd:"" default:"withargs" help:"List messages, the newest first."`
	Show    messagesShow    `cmd:"" help:"Show one message."`
	Count   messagesCount   `cmd:"" help:"Count messages by method and state."`
	Preview messagesPreview `cmd:"" help:"Show the text messages as they would be sent, with their length and encoding."`
}

// messagesFilter are the flags that say which messages.
type messagesFilter struct {
	State   string        `help:"Only these: queued, sent, delivered, failed or dead (given up)." enum:",queued,sent,delivered,failed,dead" default:""`
	Method  string        `help:"Only these: email or sms." enum:",email,sms" default:""`
	Session string        `help:"Only those of one unlock session." placeholder:"ID"`
	Since   time.Duration `help:"Only those of this last time." placeholder:"24h"`
}

// of gives the filter. Since counts back by the database's clock.
func (f messagesFilter) of(ctx context.Context, tx *store.Tx) (store.MessageFilter, error) {
	out := store.MessageFilter{State: store.MessageState(f.State), Method: f.Method, Session: f.Session}
	if f.Since > 0 {
		now, err := tx.Now(ctx)
		if err != nil {
			return out, err
		}
		out.Since = now.Add(-f.Since)
	}
	return out, nil
}

// view gives f the messages of the database.
func view(ctx context.Context, s shared, f func(tx *store.Tx) error) (err error) {
	base, err := s.open(ctx, "")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, base.Close()) }()
	return base.DB.View(ctx, f)
}

type messagesList struct {
	messagesFilter
	Limit int  `help:"At most so many." default:"50"`
	JSON  bool `name:"json" help:"One JSON object a line."`
}

func (c messagesList) Run(ctx context.Context, s shared) error {
	var all []store.Message
	err := view(ctx, s, func(tx *store.Tx) error {
		f, err := c.of(ctx, tx)
		if err != nil {
			return err
		}
		f.Limit = c.Limit
		all, err = tx.Messages(ctx, f)
		return err
	})
	if err != nil {
		return err
	}
	if c.JSON {
		for _, m := range all {
			if err := writeJSON(s.out, m); err != nil {
				return err
			}
		}
		return nil
	}
	if len(all) == 0 {
		_, err := fmt.Fprintln(s.out, "No messages.")
		return err
	}
	t := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "CREATED\tREFERENCE\tKIND\tMETHOD\tSTATE\tPROVIDER\tREASON")
	for _, m := range all {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", m.CreatedAt.Format(time.RFC3339), m.ID, m.Kind, m.Method, m.State, m.Provider, m.Reason)
	}
	return t.Flush()
}

// messageLine is a message as --json prints it. Address is a pseudonym.
type messageLine struct {
	Reference  string     `json:"reference"`
	Session    string     `json:"session"`
	Kind       string     `json:"kind"`
	Method     string     `json:"method"`
	Address    string     `json:"address_pseudonym"`
	State      string     `json:"state"`
	Reason     string     `json:"reason,omitempty"`
	Provider   string     `json:"provider,omitempty"`
	ProviderID string     `json:"provider_id,omitempty"`
	Parts      int        `json:"parts,omitempty"`
	Attempts   int        `json:"attempts"`
	Created    time.Time  `json:"created"`
	Sent       *time.Time `json:"sent,omitempty"`
	Updated    time.Time  `json:"updated"`
}

func writeJSON(out io.Writer, m store.Message) error {
	l := messageLine{Reference: m.ID, Session: m.Session, Kind: m.Kind, Method: m.Method, Address: m.Address, State: string(m.State), Reason: m.Reason,
		Provider: m.Provider, ProviderID: m.ProviderID, Parts: m.Parts, Attempts: m.Attempts, Created: m.CreatedAt, Updated: m.UpdatedAt}
	if !m.SentAt.IsZero() {
		l.Sent = &m.SentAt
	}
	return json.NewEncoder(out).Encode(l)
}

type messagesShow struct {
	Reference string `arg:"" help:"The message's reference, as list shows it."`
	JSON      bool   `name:"json" help:"As a JSON object."`
}

func (c messagesShow) Run(ctx context.Context, s shared) error {
	var m store.Message
	err := view(ctx, s, func(tx *store.Tx) (err error) {
		m, err = tx.Message(ctx, c.Reference)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return problem.Wrap(problem.MessageNotKnown, err)
	}
	if err != nil {
		return err
	}
	if c.JSON {
		return writeJSON(s.out, m)
	}
	sent := ""
	if !m.SentAt.IsZero() {
		sent = m.SentAt.Format(time.RFC3339)
	}
	t := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	for _, row := range [][2]string{{"reference", m.ID}, {"session", m.Session}, {"kind", m.Kind}, {"method", m.Method}, {"address (pseudonym)", m.Address},
		{"state", string(m.State)}, {"reason", m.Reason}, {"provider", m.Provider}, {"provider's identifier", m.ProviderID}, {"parts", fmt.Sprint(m.Parts)},
		{"attempts", fmt.Sprint(m.Attempts)}, {"created", m.CreatedAt.Format(time.RFC3339)}, {"sent", sent}, {"updated", m.UpdatedAt.Format(time.RFC3339)}} {
		fmt.Fprintf(t, "%s:\t%s\n", row[0], row[1])
	}
	return t.Flush()
}

type messagesCount struct{ messagesFilter }

func (c messagesCount) Run(ctx context.Context, s shared) error {
	var counts []store.MessageCount
	err := view(ctx, s, func(tx *store.Tx) error {
		f, err := c.of(ctx, tx)
		if err != nil {
			return err
		}
		counts, err = tx.CountMessages(ctx, f)
		return err
	})
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "METHOD\tSTATE\tMESSAGES")
	for _, n := range counts {
		fmt.Fprintf(t, "%s\t%s\t%d\n", n.Method, n.State, n.Count)
	}
	return t.Flush()
}

type messagesPreview struct{}

// Run needs no database: it shows what the configuration makes of the texts.
func (messagesPreview) Run(s shared) error {
	c, err := s.load()
	if err != nil {
		return err
	}
	words, err := daemon.TextWords(c)
	if err != nil {
		return err
	}
	all, err := words.Previews()
	if err != nil {
		return err
	}
	for i, p := range all {
		from := "ours, " + c.MessageLanguage
		if p.Own {
			from = "from " + c.MessageDir
		}
		parts := "1 message"
		if p.Size.Parts != 1 {
			parts = fmt.Sprintf("%d messages", p.Size.Parts)
		}
		if _, err := fmt.Fprintf(s.out, "%s%s (%s): %d characters of %s, %s\n  %s\n", strings.Repeat("\n", min(i, 1)), p.Name, from,
			p.Size.Units, p.Size.Encoding, parts, p.Body); err != nil {
			return err
		}
	}
	return nil
}
