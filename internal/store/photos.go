package store

import (
	"context"
	"time"
)

// Photo is a holder's profile photo. Picture and Template are sealed by package
// directory. PhotoRecord leaves those two out.
type Photo struct {
	HolderID string
	Picture  []byte
	Template []byte // empty where Model is
	Model    string // what made the template; empty: there is none
	Digest   []byte // keyed hash of the picture
	AddedBy  string // audit.ActorOperator, ...
	AddedAt  time.Time
	MAC      []byte
}

const photoColumns = `holder_id, picture, template, model, digest, added_by, added_at, mac`

func scanPhoto(r scanner) (p Photo, err error) {
	err = r.Scan(&p.HolderID, &p.Picture, &p.Template, &p.Model, &p.Digest, &p.AddedBy, stamp{&p.AddedAt}, &p.MAC)
	return p, err
}

const photoRecordColumns = `holder_id, model, digest, added_by, added_at, mac`

func scanPhotoRecord(r scanner) (p Photo, err error) {
	err = r.Scan(&p.HolderID, &p.Model, &p.Digest, &p.AddedBy, stamp{&p.AddedAt}, &p.MAC)
	return p, err
}

// PutPhoto keeps a holder's photo in place of any before.
func (t *Tx) PutPhoto(ctx context.Context, p Photo) error {
	return t.change(ctx, "put photo",
		`INSERT INTO photos (`+photoColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT (holder_id) DO UPDATE SET picture = excluded.picture, template = excluded.template,
		model = excluded.model, digest = excluded.digest, added_by = excluded.added_by, added_at = excluded.added_at,
		mac = excluded.mac`,
		p.HolderID, p.Picture, p.Template, p.Model, p.Digest, p.AddedBy, micros(p.AddedAt), p.MAC)
}

// SetPhotoTemplate replaces template, model and MAC of a photo as long as its
// picture is the one with Digest. False: it is not, or there is none.
func (t *Tx) SetPhotoTemplate(ctx context.Context, p Photo) (bool, error) {
	n, err := t.exec(ctx, "set photo template",
		`UPDATE photos SET template = $2, model = $3, mac = $4 WHERE holder_id = $1 AND digest = $5`,
		p.HolderID, p.Template, p.Model, p.MAC, p.Digest)
	return n == 1, err
}

// Photo reads a holder's photo.
func (t *Tx) Photo(ctx context.Context, holderID string) (Photo, error) {
	return one(ctx, t, "photo", scanPhoto, `SELECT `+photoColumns+` FROM photos WHERE holder_id = $1`, holderID)
}

// PhotoRecord reads all of a holder's photo but picture and template.
func (t *Tx) PhotoRecord(ctx context.Context, holderID string) (Photo, error) {
	return one(ctx, t, "photo", scanPhotoRecord, `SELECT `+photoRecordColumns+` FROM photos WHERE holder_id = $1`, holderID)
}

// DeletePhoto removes a holder's photo.
func (t *Tx) DeletePhoto(ctx context.Context, holderID string) error {
	return t.change(ctx, "delete photo", `DELETE FROM photos WHERE holder_id = $1`, holderID)
}

// PhotosOfOtherModel gives up to limit holders after a holder, in the order of
// their ids, whose photo's template is not of model.
func (t *Tx) PhotosOfOtherModel(ctx context.Context, model, after string, limit int) ([]string, error) {
	return many(ctx, t, "photos of another model", func(r scanner) (id string, err error) {
		err = r.Scan(&id)
		return id, err
	}, `SELECT holder_id FROM photos WHERE model <> $1 AND holder_id > $2 ORDER BY holder_id LIMIT $3`, model, after, limit)
}

// PhotoCount is how many photos have a template of one model.
type PhotoCount struct {
	Model string // empty: no template
	Count int
}

// PhotoCounts gives the number of photos by model, in the models' order.
func (t *Tx) PhotoCounts(ctx context.Context) ([]PhotoCount, error) {
	return many(ctx, t, "count photos", func(r scanner) (c PhotoCount, err error) {
		err = r.Scan(&c.Model, &c.Count)
		return c, err
	}, `SELECT model, count(*) FROM photos GROUP BY model ORDER BY model`)
}

// HolderCount gives the number of holders.
func (t *Tx) HolderCount(ctx context.Context) (int, error) {
	return one(ctx, t, "count holders", func(r scanner) (n int, err error) {
		err = r.Scan(&n)
		return n, err
	}, `SELECT count(*) FROM holders`)
}
