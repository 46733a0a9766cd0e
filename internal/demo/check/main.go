// Command check walks through the demo unattended, as a person would, in a
// headless browser, and prints what it saw. Its exit code is 0 when the card
// was unlocked and nothing stayed behind.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// patience bounds the whole walk.
const patience = 3 * time.Minute

func main() {
	latchkeyd := flag.String("latchkeyd", "bin/latchkeyd", "the service's program")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := check(ctx, *latchkeyd, os.Stdout); err != nil {
		fmt.Printf("FAILED: %v\n", err)
		os.Exit(1)
	}
	fmt.Println("SUCCESS: the card was unlocked by its holder with an email code, its passcode set anew with a text message and with a face, and nothing stayed behind.")
}

// check runs the demo, walks through it, and ends it.
func check(ctx context.Context, latchkeyd string, out io.Writer) (err error) {
	demo, err := startDemo(ctx, latchkeyd, out)
	if err != nil {
		return err
	}
	walkErr := inBrowser(ctx, func(tab context.Context) error {
		if err := walk(tab, demo.address, out); err != nil {
			return err
		}
		if err := textWalk(tab, demo.address, out); err != nil {
			return err
		}
		return faceWalk(tab, demo.address, out)
	})
	if err := demo.end(); err != nil && walkErr == nil {
		walkErr = err
	}
	return walkErr
}
