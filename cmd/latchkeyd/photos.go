package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"latchkey/internal/config"
	"latchkey/internal/daemon"
	"latchkey/internal/directory"
	"latchkey/internal/face"
	"latchkey/internal/problem"
	"latchkey/internal/store"
)

// photoCommands are the commands for the profile photos on record.
type photoCommands struct {
	Enrol     enrolCommand     `cmd:"" help:"Take profile photos: files of a folder named by staff number (.jpg, .jpeg, .png)."`
	Status    photoStatus      `cmd:"" help:"How many cardholders have photos, and which model made their templates."`
	Recompute recomputeCommand `cmd:"" help:"Make the templates anew that another model made, while the service runs."`
	Remove    removeCommand    `cmd:"" help:"Delete a cardholder's photo and template."`
}

// photographing opens the database and the checker for a command.
func (s shared) photographing(ctx context.Context) (*daemon.Base, face.Checker, func() error, error) {
	c, err := s.load()
	if err != nil {
		return nil, nil, nil, err
	}
	faces, err := daemon.OpenFaces(ctx, c)
	if err != nil {
		return nil, nil, nil, err
	}
	base, err := s.open(ctx, "-photos")
	if err != nil {
		return nil, nil, nil, errors.Join(err, faces.Close())
	}
	return base, faces, func() error { return errors.Join(base.Close(), faces.Close()) }, nil
}

type enrolCommand struct {
	Folder  string `arg:"" help:"Folder of the photos."`
	Replace bool   `help:"Take a photo in place of another one on record."`
	Report  string `placeholder:"FILE" help:"Write the photos that are not taken, and why, to a CSV file."`
}

func (c enrolCommand) Run(ctx context.Context, s shared) (err error) {
	base, checker, closing, err := s.photographing(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closing()) }()
	report, err := newReport(c.Report)
	if err != nil {
		return err
	}
	refused, last := 0, time.Now()
	result, err := base.Directory.EnrolPhotos(ctx, base.DB, checker, c.Folder, directory.EnrolOptions{Replace: c.Replace,
		Refused: func(r directory.RefusedPhoto) {
			report.add(r)
			if refused++; refused <= shownBadLines {
				fmt.Fprintf(s.err, "%s: %s %s\n", r.File, r.Problem.Code, r.Problem.What())
			}
		},
		Progress: func(done, all int) {
			if now := time.Now(); now.Sub(last) > time.Second {
				last = now
				fmt.Fprintf(s.err, "%d of %d photos\n", done, all)
			}
		}})
	if refused > shownBadLines {
		fmt.Fprintf(s.err, "and %d more\n", refused-shownBadLines)
	}
	if err := errors.Join(err, report.close()); err != nil && problem.CodeOf(err) != problem.PhotosRefused {
		return err
	}
	if _, err := fmt.Fprintf(s.out, "%d photos: %d added, %d replaced, %d as they were, %d not taken.\n",
		result.Files, result.Added, result.Replaced, result.Unchanged, result.Refused); err != nil {
		return err
	}
	return err
}

// report is the file of photos that were not taken.
type report struct {
	file io.Closer
	csv  *csv.Writer
	err  error
}

func newReport(path string) (*report, error) {
	if path == "" {
		return &report{}, nil
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, problem.Wrap(problem.ImportFile, err)
	}
	r := &report{file: file, csv: csv.NewWriter(file)}
	r.err = r.csv.Write([]string{"file", "staff_number", "code", "reason"})
	return r, nil
}

func (r *report) add(p directory.RefusedPhoto) {
	if r.csv != nil && r.err == nil {
		r.err = r.csv.Write([]string{p.File, p.StaffNumber, string(p.Problem.Code), p.Problem.What()})
	}
}

func (r *report) close() error {
	if r.csv == nil {
		return nil
	}
	r.csv.Flush()
	return errors.Join(r.err, r.csv.Error(), r.file.Close())
}

type photoStatus struct{}

// Run works without a checker too: then it can't say what is to be recomputed.
func (photoStatus) Run(ctx context.Context, s shared) (err error) {
	c, err := s.load()
	if err != nil {
		return err
	}
	base, err := s.open(ctx, "")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, base.Close()) }()
	status, err := base.Directory.PhotoStatus(ctx, base.DB)
	if err != nil {
		return err
	}
	fmt.Fprintf(s.out, "%d of %d cardholders have a photo.\n", status.Photos, status.Holders)
	for _, m := range status.Models {
		if m.Model == "" {
			fmt.Fprintf(s.out, "%d without a template\n", m.Count)
			continue
		}
		fmt.Fprintf(s.out, "%d with a template of %s\n", m.Count, m.Model)
	}
	return tellModel(ctx, s.out, c, status)
}

// tellModel says what the configured checker would have recomputed.
func tellModel(ctx context.Context, out io.Writer, c *config.Config, status directory.PhotoStatus) error {
	faces, err := daemon.OpenFaces(ctx, c)
	if problem.CodeOf(err) == problem.FaceUnavailable {
		_, err = fmt.Fprintln(out, "Face verification is not available here.")
		return err
	}
	if err != nil {
		return err
	}
	if model := faces.Model(); model != "" {
		_, err = fmt.Fprintf(out, "The model is %s: %d to recompute.\n", model, status.Other(model))
	} else {
		_, err = fmt.Fprintln(out, "The provider compares photos itself: no templates are needed.")
	}
	return errors.Join(err, faces.Close())
}

type recomputeCommand struct{}

func (recomputeCommand) Run(ctx context.Context, s shared) (err error) {
	base, checker, closing, err := s.photographing(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closing()) }()
	last := time.Now()
	result, err := base.Directory.Recompute(ctx, base.DB, checker,
		func(staffNumber, why string) { fmt.Fprintf(s.err, "%s: %s\n", staffNumber, why) },
		func(done int) {
			if now := time.Now(); now.Sub(last) > time.Second {
				last = now
				fmt.Fprintf(s.err, "%d photos\n", done)
			}
		})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.out, "%d templates made anew, %d photos that give none.\n", result.Done, result.Unusable)
	return err
}

type removeCommand struct {
	StaffNumber string `arg:"" help:"Staff number of the cardholder."`
}

func (c removeCommand) Run(ctx context.Context, s shared) (err error) {
	base, err := s.open(ctx, "")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, base.Close()) }()
	err = base.DB.Update(ctx, func(tx *store.Tx) error {
		return base.Directory.RemovePhoto(ctx, tx, c.StaffNumber)
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(s.out, "The photo is deleted. The cardholder cannot use face verification any more.")
	return err
}
