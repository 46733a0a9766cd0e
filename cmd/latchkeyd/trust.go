package main

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"latchkey/internal/daemon"
	"latchkey/internal/problem"
	"latchkey/internal/trust"
)

type trustCommand struct {
	Check trustCheck `cmd:"" help:"Look at the card authorities and CRLs, and at certificates of cards if any are given. Needs no database."`
}

// maxCertificate is the largest file of a certificate in bytes.
const maxCertificate = 64 << 10

type trustCheck struct {
	Files []string `arg:"" optional:"" help:"Certificates of cards (PEM or DER)."`
}

// Run prints a line for each thing that was looked at, and fails where one is
// not as it should be.
func (c trustCheck) Run(ctx context.Context, s shared) error {
	conf, err := s.load()
	if err != nil {
		return err
	}
	if conf.LogLevel == "info" {
		conf.LogLevel = "error" // what is wrong is in the lines
	}
	t, err := daemon.Trust(conf, s.logger(conf))
	if err != nil {
		return err
	}
	if t == nil {
		_, err = fmt.Fprintln(s.out, "No card authorities are set: the certificates on record count as they are.")
		return err
	}
	defer t.Close()
	l := lines{out: s.out}
	now := time.Now()
	for _, a := range t.Authorities() {
		l.add(now.Before(a.NotAfter) && now.After(a.NotBefore), "authority %s, until %s", a.Subject, a.NotAfter.UTC().Format(time.RFC3339))
	}
	l.add(true, "revocation %s, unknown: %s", conf.CardRevocation, conf.CardRevocationUnknown)
	var certs [][]byte
	for _, name := range c.Files {
		cert, err := readCertificate(name)
		if err != nil {
			return err
		}
		certs = append(certs, cert)
	}
	t.Load(ctx)
	t.Refresh(ctx, certs...)
	for _, x := range t.Lists() {
		l.list(x)
	}
	for i, cert := range certs {
		v := t.Check(cert, time.Now())
		text := string(v.Status)
		if v.Why != "" {
			text += ": " + v.Why
		}
		l.add(v.OK(), "certificate %s: %s", c.Files[i], text)
	}
	if l.bad > 0 {
		l.err = errors.Join(l.err, problem.Wrap(problem.TrustFaults, fmt.Errorf("%d of the lines are bad", l.bad)))
	}
	return l.err
}

// lines are what is printed.
type lines struct {
	out io.Writer
	bad int
	err error
}

func (l *lines) add(good bool, format string, args ...any) {
	mark := "ok   "
	if !good {
		mark = "WRONG"
		l.bad++
	}
	_, err := fmt.Fprintln(l.out, mark, fmt.Sprintf(format, args...))
	l.err = errors.Join(l.err, err)
}

func (l *lines) list(x trust.SourceStatus) {
	switch {
	case x.NextUpdate.IsZero():
		l.add(false, "CRL %s: none (%v)", x.Place, x.Err)
	case x.Fresh:
		l.add(true, "CRL %s: %d entries, good until %s", x.Place, x.Entries, x.NextUpdate.UTC().Format(time.RFC3339))
	default:
		l.add(false, "CRL %s: %d entries, was good until %s (%v)", x.Place, x.Entries, x.NextUpdate.UTC().Format(time.RFC3339), x.Err)
	}
}

// readCertificate reads PEM, or DER. Error: problem.ImportFile.
func readCertificate(name string) ([]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, problem.Wrap(problem.ImportFile, err)
	}
	defer file.Close()
	raw, err := io.ReadAll(io.LimitReader(file, maxCertificate))
	if err != nil {
		return nil, problem.Wrap(problem.ImportFile, err)
	}
	if block, _ := pem.Decode(raw); block != nil {
		return block.Bytes, nil
	}
	return raw, nil
}
