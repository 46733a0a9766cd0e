package directory

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strconv"

	"latchkey/internal/audit"
	"latchkey/internal/face"
	"latchkey/internal/problem"
	"latchkey/internal/store"
)

// Kinds of what is sealed of a photo. Both are bound to the holder and to the
// picture, the template to its model as well.
const (
	kindPhoto    = "photo"
	kindTemplate = "face-template"
)

// Photo is a holder's profile photo, opened.
type Photo struct {
	HolderID string
	Picture  []byte        // JPEG or PNG as enrolled
	Template face.Template // of Picture, by Model
	Model    string        // empty: there is no template
	Digest   []byte        // stands for Picture
}

// photoDigest stands for a picture: equal ones look equal, and nobody without
// the key can tell which they are.
func (d *Directory) photoDigest(holderID string, picture []byte) []byte {
	return d.keys.Hash("photo", []byte(holderID), picture)
}

func (d *Directory) sealPhoto(p *store.Photo, picture []byte, template face.Template) error {
	digest := hex.EncodeToString(p.Digest)
	var err error
	if picture != nil {
		if p.Picture, err = d.keys.Seal(kindPhoto, []string{p.HolderID, digest}, picture); err != nil {
			return fmt.Errorf("seal a photo: %w", err)
		}
	}
	p.Template = nil
	if p.Model != "" {
		if p.Template, err = d.keys.Seal(kindTemplate, []string{p.HolderID, digest, p.Model}, encodeTemplate(template)); err != nil {
			return fmt.Errorf("seal a template: %w", err)
		}
	}
	p.MAC = d.keys.MAC(kindPhoto, photoFields(*p)...)
	return nil
}

// photoFields leave picture and template out: Digest and Model stand for them,
// as their seals are bound to both.
func photoFields(p store.Photo) []string {
	return []string{p.HolderID, p.Model, string(p.Digest), p.AddedBy, strconv.FormatInt(p.AddedAt.UnixMicro(), 10)}
}

func (d *Directory) checkPhoto(ctx context.Context, tx *store.Tx, p store.Photo) error {
	if d.keys.CheckMAC(p.MAC, kindPhoto, photoFields(p)...) {
		return nil
	}
	return d.tampered(ctx, tx, audit.Event{Holder: p.HolderID}, kindPhoto)
}

// PhotoDigest is the digest of the photo on record. Errors: store.ErrNotFound,
// with ErrTampered where the record is not ours.
func (d *Directory) PhotoDigest(ctx context.Context, tx *store.Tx, holderID string) ([]byte, error) {
	p, err := tx.PhotoRecord(ctx, holderID)
	if err != nil {
		return nil, err
	}
	return p.Digest, d.checkPhoto(ctx, tx, p)
}

// HasPhoto says whether a holder has a photo that can be used.
func (d *Directory) HasPhoto(ctx context.Context, tx *store.Tx, holderID string) (bool, error) {
	_, err := d.PhotoDigest(ctx, tx, holderID)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// Photo opens a holder's photo, with PhotoDigest's errors.
func (d *Directory) Photo(ctx context.Context, tx *store.Tx, holderID string) (Photo, error) {
	p, err := tx.Photo(ctx, holderID)
	if err != nil {
		return Photo{}, err
	}
	if err := d.checkPhoto(ctx, tx, p); err != nil {
		return Photo{}, err
	}
	out, err := d.unsealPhoto(p)
	if err != nil {
		return Photo{}, errors.Join(err, d.tampered(ctx, tx, audit.Event{Holder: p.HolderID}, kindPhoto))
	}
	return out, nil
}

// openPhoto opens a photo whose record is ours.
func (d *Directory) openPhoto(p store.Photo) (Photo, error) {
	if !d.keys.CheckMAC(p.MAC, kindPhoto, photoFields(p)...) {
		return Photo{}, ErrTampered
	}
	return d.unsealPhoto(p)
}

func (d *Directory) unsealPhoto(p store.Photo) (Photo, error) {
	digest := hex.EncodeToString(p.Digest)
	out := Photo{HolderID: p.HolderID, Model: p.Model, Digest: p.Digest}
	var err error
	if out.Picture, err = d.keys.Open(kindPhoto, []string{p.HolderID, digest}, p.Picture); err == nil && p.Model != "" {
		var raw []byte
		if raw, err = d.keys.Open(kindTemplate, []string{p.HolderID, digest, p.Model}, p.Template); err == nil {
			out.Template, err = decodeTemplate(raw)
		}
	}
	return out, err
}

// photoOutcome is what PutPhoto did.
type photoOutcome struct{ added, replaced bool }

// PutPhoto keeps a photo of a holder. The same photo again changes nothing;
// another one is problem.PhotoDifferent unless replace is set.
func (d *Directory) PutPhoto(ctx context.Context, tx *store.Tx, holderID string, picture []byte, t face.Template, model string, replace bool) (photoOutcome, error) {
	h, err := tx.LockHolder(ctx, holderID)
	if err != nil {
		return photoOutcome{}, err
	}
	if err := d.checkHolder(ctx, tx, h); err != nil {
		return photoOutcome{}, err
	}
	digest := d.photoDigest(h.ID, picture)
	have, err := d.PhotoDigest(ctx, tx, h.ID)
	there := err == nil
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return photoOutcome{}, err
	}
	if there && bytes.Equal(have, digest) {
		return photoOutcome{}, nil
	}
	if there && !replace {
		return photoOutcome{}, problem.New(problem.PhotoDifferent)
	}
	now, err := tx.Now(ctx)
	if err != nil {
		return photoOutcome{}, err
	}
	p := store.Photo{HolderID: h.ID, Model: model, Digest: digest, AddedBy: audit.ActorOperator, AddedAt: now}
	if err := d.sealPhoto(&p, picture, t); err != nil {
		return photoOutcome{}, err
	}
	if err := tx.PutPhoto(ctx, p); err != nil {
		return photoOutcome{}, err
	}
	action := audit.PhotoAdded
	if there {
		action = audit.PhotoReplaced
	}
	return photoOutcome{added: !there, replaced: there}, audit.Append(ctx, tx, audit.Event{Actor: audit.ActorOperator, Action: action,
		Holder: h.ID, Details: map[string]string{"model": model, "digest": hex.EncodeToString(digest[:8])}})
}

// SetTemplate keeps a template of another model for the photo with p's digest.
// False: that photo is no longer on record.
func (d *Directory) SetTemplate(ctx context.Context, tx *store.Tx, p Photo, t face.Template, model, actor string) (bool, error) {
	record, err := tx.PhotoRecord(ctx, p.HolderID)
	if errors.Is(err, store.ErrNotFound) || err == nil && !bytes.Equal(record.Digest, p.Digest) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := d.checkPhoto(ctx, tx, record); err != nil {
		return false, err
	}
	was := record.Model
	record.Model = model
	if err := d.sealPhoto(&record, nil, t); err != nil {
		return false, err
	}
	done, err := tx.SetPhotoTemplate(ctx, record)
	if err != nil || !done {
		return false, err
	}
	return true, audit.Append(ctx, tx, audit.Event{Actor: actor, Action: audit.PhotoRecomputed, Holder: p.HolderID,
		Details: map[string]string{"model": model, "was": was}})
}

// RemovePhoto deletes a holder's photo and template. Errors:
// problem.HolderNotKnown, problem.PhotoMissing.
func (d *Directory) RemovePhoto(ctx context.Context, tx *store.Tx, staffNumber string) error {
	h, err := tx.HolderByStaffNumber(ctx, staffNumber)
	if errors.Is(err, store.ErrNotFound) {
		return problem.Wrap(problem.HolderNotKnown, err)
	}
	if err != nil {
		return err
	}
	err = tx.DeletePhoto(ctx, h.ID)
	if errors.Is(err, store.ErrNotFound) {
		return problem.Wrap(problem.PhotoMissing, err)
	}
	if err != nil {
		return err
	}
	return audit.Append(ctx, tx, audit.Event{Actor: audit.ActorOperator, Action: audit.PhotoRemoved, Holder: h.ID})
}

// NumberFits says whether a normalised mobile number goes with a holder: it is
// one of theirs, or they have none. It does the same work for any number (R4).
func (d *Directory) NumberFits(ctx context.Context, tx *store.Tx, holderID, number string) (bool, error) {
	contacts, err := d.Contacts(ctx, tx, holderID)
	if err != nil {
		return false, err
	}
	any, theirs := false, false
	for _, c := range contacts {
		if c.Kind == KindSMS {
			any, theirs = true, theirs || c.Value == number
		}
	}
	return theirs || !any, nil
}

// encodeTemplate writes a template as 32-bit floats, little endian.
func encodeTemplate(t face.Template) []byte {
	out := make([]byte, 0, 4*len(t))
	for _, v := range t {
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(v))
	}
	return out
}

func decodeTemplate(raw []byte) (face.Template, error) {
	if len(raw)%4 != 0 {
		return nil, errors.New("not a template")
	}
	t := make(face.Template, 0, len(raw)/4)
	for ; len(raw) > 0; raw = raw[4:] {
		t = append(t, math.Float32frombits(binary.LittleEndian.Uint32(raw)))
	}
	return t, nil
}
