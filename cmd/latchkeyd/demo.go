package main

import (
	"context"
	"io"
	"log/slog"

	"latchkey/internal/demo"
)

type demoCommand struct {
	NoBrowser bool `help:"Print the address and open nothing."`
	Verbose   bool `short:"v" help:"Log what is being done."`
}

func (c demoCommand) Run(ctx context.Context, s shared) error {
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	if c.Verbose {
		log = slog.New(slog.NewTextHandler(s.err, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return demo.Run(ctx, demo.Options{NoBrowser: c.NoBrowser, Out: s.out, Log: log})
}
