package directory

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sort"
	"strings"
	"sync"

	"latchkey/internal/audit"
	"latchkey/internal/face"
	"latchkey/internal/problem"
	"latchkey/internal/store"
)

// MaxPhoto is the largest profile photo in bytes.
const MaxPhoto = 10 << 20

// PhotoChecker is what is asked of package face for profile photos.
type PhotoChecker interface {
	Model() string
	Photo(ctx context.Context, picture []byte) (face.Template, face.Reason, error)
}

// EnrolOptions say how photos are enrolled.
type EnrolOptions struct {
	// Replace takes a photo in place of another one on record.
	Replace bool
	// Refused is told each photo that is not taken, one at a time.
	Refused func(RefusedPhoto)
	// Progress is told the number of files done out of all, now and then.
	Progress func(done, all int)
	// Workers is how many photos are looked at at once; default is one for
	// each processor.
	Workers int
}

// RefusedPhoto is a file that was not taken, and why.
type RefusedPhoto struct {
	File        string // name in the folder
	StaffNumber string
	Problem     *problem.Problem
}

// EnrolResult counts files.
type EnrolResult struct {
	Files, Added, Replaced, Unchanged, Refused int
}

// photoFile is a file of a folder of photos.
type photoFile struct{ name, staffNumber string }

// enrolRun is one run of EnrolPhotos.
type enrolRun struct {
	d       *Directory
	db      *store.DB
	checker PhotoChecker
	folder  string
	options EnrolOptions

	mu     sync.Mutex
	result EnrolResult
	done   int
}

// EnrolPhotos takes the photos of a folder: files named by staff number with
// .jpg, .jpeg or .png; others are left alone. Each photo is kept in a
// transaction of its own, so that a run that was stopped goes on where it was:
// photos on record are known again before anything is computed. Errors:
// problem.ImportFile, PhotosRefused where some were not taken, FaceUnavailable and the
// database's own.
func (d *Directory) EnrolPhotos(ctx context.Context, db *store.DB, checker PhotoChecker, folder string, o EnrolOptions) (EnrolResult, error) {
	if o.Refused == nil {
		o.Refused = func(RefusedPhoto) {}
	}
	if o.Progress == nil {
		o.Progress = func(int, int) {}
	}
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	files, err := photoFiles(folder)
	if err != nil {
		return EnrolResult{}, problem.Wrap(problem.ImportFile, err)
	}
	r := &enrolRun{d: d, db: db, checker: checker, folder: folder, options: o, result: EnrolResult{Files: len(files)}}
	if err := r.note(ctx, audit.ImportStarted); err != nil {
		return r.result, err
	}
	if err := r.all(ctx, files); err != nil {
		return r.result, fmt.Errorf("enrol photos: %w", err)
	}
	if err := r.note(ctx, audit.ImportFinished); err != nil {
		return r.result, err
	}
	if r.result.Refused > 0 {
		return r.result, problem.Wrap(problem.PhotosRefused, fmt.Errorf("%d of %d photos were not taken", r.result.Refused, r.result.Files))
	}
	return r.result, nil
}

// photoFiles lists the photos of a folder by name. Names that begin with a dot
// are other programs' leavings.
func photoFiles(folder string) ([]photoFile, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	var files []photoFile
	for _, e := range entries {
		ext := strings.ToLower(filepath.Ext(e.Name()))
		if e.IsDir() || strings.HasPrefix(e.Name(), ".") || ext != ".jpg" && ext != ".jpeg" && ext != ".png" {
			continue
		}
		files = append(files, photoFile{e.Name(), strings.TrimSpace(strings.TrimSuffix(e.Name(), filepath.Ext(e.Name())))})
	}
	sort.Slice(files, func(i, j int) bool { return files[i].name < files[j].name })
	return files, nil
}

// all hands the files to the workers and gives the first error that ends the run.
func (r *enrolRun) all(ctx context.Context, files []photoFile) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	queue := make(chan photoFile)
	var workers sync.WaitGroup
	for range r.options.Workers {
		workers.Go(func() {
			for f := range queue {
				if err := r.one(ctx, f); err != nil {
					stop(fmt.Errorf("%s: %w", f.name, err))
					return
				}
			}
		})
	}
	seen := map[string]string{}
feed:
	for _, f := range files {
		if first, ok := seen[f.staffNumber]; ok {
			r.refuse(f, detailed(problem.PhotoRefused, "The file %s has the same staff number.", first))
			continue
		}
		seen[f.staffNumber] = f.name
		select {
		case queue <- f:
		case <-ctx.Done():
			break feed
		}
	}
	close(queue)
	workers.Wait()
	return context.Cause(ctx)
}

// one enrols one photo, or refuses it.
func (r *enrolRun) one(ctx context.Context, f photoFile) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	outcome, err := r.enrol(ctx, f)
	var p *problem.Problem
	if errors.As(err, &p) && refusal(p.Code) {
		r.refuse(f, p)
		return nil
	}
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case outcome.added:
		r.result.Added++
	case outcome.replaced:
		r.result.Replaced++
	default:
		r.result.Unchanged++
	}
	r.progress()
	return nil
}

// refusal says whether a problem is about the one photo.
func refusal(c problem.Code) bool {
	switch c {
	case problem.PhotoRefused, problem.PhotoDifferent, problem.HolderNotKnown:
		return true
	}
	return false
}

func (r *enrolRun) enrol(ctx context.Context, f photoFile) (photoOutcome, error) {
	picture, err := readPhoto(filepath.Join(r.folder, f.name))
	if err != nil {
		return photoOutcome{}, err
	}
	var holder store.Holder
	known, differs := false, false
	err = r.db.View(ctx, func(tx *store.Tx) error {
		var err error
		if holder, err = tx.HolderByStaffNumber(ctx, f.staffNumber); errors.Is(err, store.ErrNotFound) {
			return problem.Wrap(problem.HolderNotKnown, err)
		}
		if err != nil {
			return err
		}
		have, err := r.d.PhotoDigest(ctx, tx, holder.ID)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		known = err == nil && bytes.Equal(have, r.d.photoDigest(holder.ID, picture))
		differs = err == nil && !known
		return err
	})
	switch {
	case err != nil || known:
		return photoOutcome{}, err
	case differs && !r.options.Replace:
		return photoOutcome{}, problem.New(problem.PhotoDifferent)
	}
	template, reason, err := r.checker.Photo(ctx, picture)
	if errors.Is(err, face.ErrUnavailable) {
		return photoOutcome{}, problem.Wrap(problem.FaceUnavailable, err)
	}
	if err != nil && ctx.Err() != nil {
		return photoOutcome{}, err
	}
	if err != nil {
		return photoOutcome{}, problem.Wrap(problem.PhotoRefused, err)
	}
	if reason != face.Verified {
		return photoOutcome{}, detailed(problem.PhotoRefused, "%s", PhotoAdvice(reason))
	}
	var out photoOutcome
	err = r.db.Update(ctx, func(tx *store.Tx) (err error) {
		out, err = r.d.PutPhoto(ctx, tx, holder.ID, picture, template, r.checker.Model(), r.options.Replace)
		return err
	})
	return out, err
}

// readPhoto reads a file that looks like a JPEG or a PNG. What is wrong with
// the file is problem.PhotoRefused.
func readPhoto(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, detailed(problem.PhotoRefused, "The file cannot be read.")
	}
	defer file.Close()
	raw, err := io.ReadAll(io.LimitReader(file, MaxPhoto+1))
	switch {
	case err != nil:
		return nil, detailed(problem.PhotoRefused, "The file cannot be read.")
	case len(raw) > MaxPhoto:
		return nil, detailed(problem.PhotoRefused, "The file is larger than %d MB.", MaxPhoto>>20)
	case !bytes.HasPrefix(raw, []byte("\xff\xd8\xff")) && !bytes.HasPrefix(raw, []byte("\x89PNG\r\n\x1a\n")):
		return nil, detailed(problem.PhotoRefused, "The file is neither a JPEG nor a PNG.")
	}
	return raw, nil
}

func (r *enrolRun) refuse(f photoFile, p *problem.Problem) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.result.Refused++
	r.options.Refused(RefusedPhoto{File: f.name, StaffNumber: f.staffNumber, Problem: p})
	r.progress()
}

// progress counts a file that is done. The caller holds the lock.
func (r *enrolRun) progress() {
	r.done++
	r.options.Progress(r.done, r.result.Files)
}

func (r *enrolRun) note(ctx context.Context, action string) error {
	return r.db.Update(ctx, func(tx *store.Tx) error {
		return audit.Append(ctx, tx, audit.Event{Actor: audit.ActorOperator, Action: action, Details: map[string]string{
			"of": "photos", "files": fmt.Sprint(r.result.Files), "added": fmt.Sprint(r.result.Added),
			"replaced": fmt.Sprint(r.result.Replaced), "refused": fmt.Sprint(r.result.Refused)}})
	})
}

func detailed(c problem.Code, format string, args ...any) *problem.Problem {
	p := problem.New(c)
	p.Detail = fmt.Sprintf(format, args...)
	return p
}

// PhotoAdvice says in a sentence what is the matter with a profile photo.
func PhotoAdvice(r face.Reason) string {
	switch r {
	case face.NoFace:
		return "There is no face in the photo."
	case face.ManyFaces:
		return "There is more than one face in the photo."
	case face.TooFar:
		return "The face is too small in the photo."
	case face.TooClose:
		return "The face is too large for the photo."
	case face.OffCentre:
		return "The face is not in the middle."
	case face.NotFrontal:
		return "The face is not looking straight at the camera."
	case face.TooDark:
		return "The photo is too dark."
	case face.TooBright:
		return "The photo is too bright."
	case face.Blurred:
		return "The photo is blurred."
	case face.Glare:
		return "There is glare on the glasses."
	}
	return "It is not a good profile photo."
}
