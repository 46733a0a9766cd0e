package directory

import (
	"context"
	"errors"
	"fmt"

	"latchkey/internal/audit"
	"latchkey/internal/face"
	"latchkey/internal/problem"
	"latchkey/internal/store"
)

// recomputePage is how many holders are looked up at a time.
const recomputePage = 200

// PhotoStatus is what is known of all photos.
type PhotoStatus struct {
	Holders int
	Photos  int
	Models  []store.PhotoCount // by the model of the template
}

// Other is how many photos have a template that is not of a model.
func (s PhotoStatus) Other(model string) int {
	n := 0
	for _, c := range s.Models {
		if c.Model != model {
			n += c.Count
		}
	}
	return n
}

// PhotoStatus counts the photos.
func (d *Directory) PhotoStatus(ctx context.Context, db *store.DB) (s PhotoStatus, err error) {
	err = db.View(ctx, func(tx *store.Tx) error {
		var err error
		if s.Holders, err = tx.HolderCount(ctx); err != nil {
			return err
		}
		s.Models, err = tx.PhotoCounts(ctx)
		return err
	})
	for _, c := range s.Models {
		s.Photos += c.Count
	}
	return s, err
}

// RecomputeResult counts photos.
type RecomputeResult struct{ Done, Unusable int }

// Recompute makes the templates of photos that another model made anew, one
// photo a transaction, while the service runs. A run that was stopped goes on
// where it was. unusable is told the holders whose photo gives no template any
// longer. Error: problem.FaceUnavailable.
func (d *Directory) Recompute(ctx context.Context, db *store.DB, checker PhotoChecker, unusable func(staffNumber, why string), progress func(done int)) (r RecomputeResult, err error) {
	for last := ""; ; {
		var page []string
		err := db.View(ctx, func(tx *store.Tx) (err error) {
			page, err = tx.PhotosOfOtherModel(ctx, checker.Model(), last, recomputePage)
			return err
		})
		if err != nil || len(page) == 0 {
			return r, err
		}
		for _, id := range page {
			last = id
			why, err := d.recompute(ctx, db, checker, id)
			switch {
			case errors.Is(err, face.ErrUnavailable):
				return r, problem.Wrap(problem.FaceUnavailable, err)
			case err != nil:
				return r, fmt.Errorf("recompute templates: %w", err)
			case why != "":
				r.Unusable++
				unusable(d.staffNumber(ctx, db, id), why)
			default:
				r.Done++
			}
			progress(r.Done + r.Unusable)
		}
	}
}

func (d *Directory) staffNumber(ctx context.Context, db *store.DB, holderID string) (number string) {
	if err := db.View(ctx, func(tx *store.Tx) error {
		h, err := tx.Holder(ctx, holderID)
		number = h.StaffNumber
		return err
	}); err != nil {
		return "(not known)"
	}
	return number
}

// recompute gives why a photo has no template of the checker's model, "" where
// it has one now, or has been removed.
func (d *Directory) recompute(ctx context.Context, db *store.DB, checker PhotoChecker, holderID string) (why string, err error) {
	var p Photo
	err = db.View(ctx, func(tx *store.Tx) (err error) {
		p, err = d.Photo(ctx, tx, holderID)
		return err
	})
	if errors.Is(err, ErrTampered) {
		return "It was not written by Latchkey, or is damaged.", nil
	}
	if errors.Is(err, store.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	template, reason, err := checker.Photo(ctx, p.Picture)
	if err != nil && (errors.Is(err, face.ErrUnavailable) || ctx.Err() != nil) {
		return "", err
	}
	if err != nil {
		return "It cannot be read as a picture.", nil
	}
	if reason != face.Verified {
		return PhotoAdvice(reason), nil
	}
	return "", db.Update(ctx, func(tx *store.Tx) error {
		_, err := d.SetTemplate(ctx, tx, p, template, checker.Model(), audit.ActorOperator)
		return err
	})
}
