package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"latchkey/internal/cardkey"
	"latchkey/internal/daemon"
	"latchkey/internal/directory"
	"latchkey/internal/escrow/keyfile"
	"latchkey/internal/escrow/upkeep"
	"latchkey/internal/problem"
	"latchkey/internal/store"
)

type keysImport struct{ importFlags }

func (c keysImport) Run(ctx context.Context, s shared) error {
	return c.run(ctx, s, directory.ImportOptions{}, importKeys)
}

// importKeys imports a file that is encrypted or not.
func importKeys(d *directory.Directory, ctx context.Context, db *store.DB, file io.ReadSeeker, o directory.ImportOptions) (directory.ImportResult, error) {
	encrypted, err := keyfile.Encrypted(file)
	if err != nil {
		return directory.ImportResult{}, problem.Wrap(problem.ImportFile, err)
	}
	if encrypted {
		if file, err = d.KeyFile(file); err != nil {
			return directory.ImportResult{}, err
		}
	}
	return d.ImportKeys(ctx, db, file, o)
}

type keysImportKey struct{}

func (keysImportKey) Run(ctx context.Context, s shared) error {
	return s.with(ctx, "", func(b *daemon.Base) error {
		key, err := keyfile.PublicKey(b.Keys)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(s.out, key)
		return err
	})
}

type keysEncrypt struct {
	To   string `required:"" help:"The import key, as latchkeyd keys import-key prints it."`
	File string `arg:"" help:"File to encrypt; - for standard input."`
	Out  string `short:"o" required:"" help:"File to write. It must not be there yet."`
}

func (c keysEncrypt) Run(s shared) (err error) {
	in := s.in
	if c.File != "-" {
		f, err := os.Open(c.File)
		if err != nil {
			return problem.Wrap(problem.ImportFile, err)
		}
		defer f.Close()
		in = f
	}
	out, err := os.OpenFile(c.Out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return problem.Wrap(problem.ImportFile, err)
	}
	err = keyfile.Encrypt(out, in, c.To)
	if err = errors.Join(err, out.Close()); err != nil {
		return problem.Wrap(problem.ImportFile, errors.Join(err, os.Remove(c.Out)))
	}
	_, err = fmt.Fprintf(s.out, "%s can be read by the service alone. Now delete the file that is not encrypted.\n", c.Out)
	return err
}

type keysMaster struct {
	Add  masterAdd  `cmd:"" help:"Keep a master key. It is read from standard input, in hexadecimal."`
	List masterList `cmd:"" help:"List the master keys, without the keys themselves."`
}

type masterAdd struct {
	Number int64  `arg:"" help:"Number that key files name it by, from 1."`
	Method string `default:"sp800-108-hmac-sha256" enum:"sp800-108-hmac-sha256,sp800-108-cmac-aes" help:"How keys are derived: ${enum}."`
	Label  string `required:"" help:"Label of the derivation, as the organisation has fixed it."`
}

func (c masterAdd) Run(ctx context.Context, s shared) error {
	text, err := bufio.NewReader(io.LimitReader(s.in, 1024)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the master key: %w", err)
	}
	key, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil || c.Number < 1 {
		return problem.Wrap(problem.MasterKeyWrong, cardkey.ErrMaster) // the error of hex would quote it
	}
	return s.with(ctx, "-keys", func(b *daemon.Base) error {
		if err := b.DB.Update(ctx, func(tx *store.Tx) error {
			return b.Directory.AddMaster(ctx, tx, c.Number, c.Method, c.Label, key)
		}); err != nil {
			return err
		}
		_, err := fmt.Fprintf(s.out, "Master key %d is kept. Keep your own copy: no backup of the database from before has it.\n", c.Number)
		return err
	})
}

type masterList struct{}

func (masterList) Run(ctx context.Context, s shared) error {
	return s.with(ctx, "", func(b *daemon.Base) error {
		status, err := upkeep.Look(ctx, b.DB, nil)
		if err != nil {
			return err
		}
		out := &printer{w: s.out}
		for _, m := range status.Masters {
			n := int64(0)
			for _, c := range status.Counts {
				if c.MasterID == m.ID {
					n += c.Count
				}
			}
			out.f("%d: %s, label %q, %d keys of cards\n", m.Number, m.Method, m.Label, n)
		}
		return out.ends()
	})
}
