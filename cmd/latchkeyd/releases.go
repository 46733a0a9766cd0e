package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"latchkey/internal/escrow"
	"latchkey/internal/store"
)

type releasesCommand struct {
	Stop   releasesStop   `cmd:"" help:"Stop all releases of unlocking keys, on every node, at once."`
	Start  releasesStart  `cmd:"" help:"Let releases go on, after stop or after the breaker has tripped."`
	Status releasesStatus `cmd:"" help:"Say whether keys are released, since when and why not."`
}

type releasesStop struct {
	Reason string `arg:"" help:"Why, for the audit trail and those who look."`
}

func (c releasesStop) Run(ctx context.Context, s shared) error {
	return s.control(ctx, func(ctx context.Context, tx *store.Tx) error { return escrow.StopReleases(ctx, tx, c.Reason) },
		"Nothing is released any more, by any node. latchkeyd releases start ends it.")
}

type releasesStart struct {
	Reason string `arg:"" optional:"" default:"started again" help:"Why, for the audit trail and those who look."`
}

func (c releasesStart) Run(ctx context.Context, s shared) error {
	return s.control(ctx, func(ctx context.Context, tx *store.Tx) error { return escrow.StartReleases(ctx, tx, c.Reason) },
		"Keys are released again.")
}

func (s shared) control(ctx context.Context, change func(context.Context, *store.Tx) error, done string) (err error) {
	base, err := s.open(ctx, "")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, base.Close()) }()
	if err := base.DB.Update(ctx, func(tx *store.Tx) error { return change(ctx, tx) }); err != nil {
		return err
	}
	_, err = fmt.Fprintln(s.out, done)
	return err
}

type releasesStatus struct{}

func (releasesStatus) Run(ctx context.Context, s shared) (err error) {
	base, err := s.open(ctx, "")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, base.Close()) }()
	return base.DB.View(ctx, func(tx *store.Tx) error {
		c, err := tx.ReleaseControl(ctx)
		if err != nil {
			return err
		}
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		hour, err := tx.CountReleases(ctx, now.Add(-time.Hour))
		if err != nil {
			return err
		}
		if err := showControl(s.out, c); err != nil {
			return err
		}
		_, err = fmt.Fprintf(s.out, "Released in the last hour: %d\n", hour)
		return err
	})
}

// showControl says whether keys are released.
func showControl(out io.Writer, c store.ReleaseControl) error {
	text := fmt.Sprintf("Releases: %s", c.State)
	if c.Reason != "" {
		text += fmt.Sprintf(", since %s, by %s: %s", c.ChangedAt.Format(time.RFC3339), c.Actor, c.Reason)
	}
	if !c.ReopensAt.IsZero() {
		text += fmt.Sprintf("; a few are tried from %s on", c.ReopensAt.Format(time.RFC3339))
	}
	_, err := fmt.Fprintln(out, text)
	return err
}
