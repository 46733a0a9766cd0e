package store

import (
	"testing"
	"time"
)

func testPhotos(t *testing.T, db *DB) {
	ctx := t.Context()
	c := aCard(t, db) // and its holder
	p := Photo{HolderID: c.HolderID, Picture: []byte{0, 0xff, 1}, Template: []byte{2}, Model: "m1", Digest: []byte{3},
		AddedBy: "operator", AddedAt: start, MAC: []byte{4}}
	update(t, db, func(tx *Tx) {
		_, err := tx.Photo(ctx, p.HolderID)
		wantErr(t, err, ErrNotFound)
		_, err = tx.PhotoRecord(ctx, p.HolderID)
		wantErr(t, err, ErrNotFound)
		wantErr(t, tx.DeletePhoto(ctx, p.HolderID), ErrNotFound)
		must(t, tx.PutPhoto(ctx, p))
		same(t, p)(tx.Photo(ctx, p.HolderID))
		p.Picture, p.Digest, p.MAC = []byte{5}, []byte{6}, []byte{7}
		must(t, tx.PutPhoto(ctx, p))
		same(t, p)(tx.Photo(ctx, p.HolderID))
	})
	other := aCard(t, db)
	second := Photo{HolderID: other.HolderID, Picture: []byte{1}, Digest: []byte{1}, AddedBy: "operator", AddedAt: start}
	update(t, db, func(tx *Tx) { must(t, tx.PutPhoto(ctx, second)) })
	view(t, db, func(tx *Tx) {
		record := p
		record.Picture, record.Template = nil, nil
		same(t, record)(tx.PhotoRecord(ctx, p.HolderID))
		same(t, []PhotoCount{{"", 1}, {"m1", 1}})(tx.PhotoCounts(ctx))
		same(t, 2)(tx.HolderCount(ctx))
		same(t, []string{second.HolderID})(tx.PhotosOfOtherModel(ctx, "m1", "", 10))
		both := []string{min(p.HolderID, second.HolderID), max(p.HolderID, second.HolderID)}
		same(t, both)(tx.PhotosOfOtherModel(ctx, "m2", "", 10))
		same(t, both[:1])(tx.PhotosOfOtherModel(ctx, "m2", "", 1))
		same(t, both[1:])(tx.PhotosOfOtherModel(ctx, "m2", both[0], 10))
	})
	update(t, db, func(tx *Tx) {
		stale := p
		stale.Digest, stale.Template = []byte{0}, []byte{9}
		same(t, false)(tx.SetPhotoTemplate(ctx, stale))
		p.Template, p.Model, p.MAC = []byte{8}, "m2", []byte{8}
		same(t, true)(tx.SetPhotoTemplate(ctx, p))
		same(t, p)(tx.Photo(ctx, p.HolderID))
		must(t, tx.DeletePhoto(ctx, p.HolderID))
		_, err := tx.Photo(ctx, p.HolderID)
		wantErr(t, err, ErrNotFound)
	})
}

func testFaceScans(t *testing.T, db *DB) {
	ctx := t.Context()
	s := aSession("card")
	f := FaceScan{ID: "scan1", SessionID: s.ID, Challenge: []byte{1}, Steps: []ScanStep{{Told: start.UnixMicro()}}, BeganAt: start, MAC: []byte{2}}
	update(t, db, func(tx *Tx) {
		must(t, tx.InsertSession(ctx, s))
		_, err := tx.FaceScan(ctx, s.ID)
		wantErr(t, err, ErrNotFound)
		wantErr(t, tx.SaveFaceScan(ctx, f), ErrNotFound)
		must(t, tx.PutFaceScan(ctx, f))
		same(t, f)(tx.FaceScan(ctx, s.ID))
		f.Steps[0].Fixed, f.Steps[0].Digest = start.Add(time.Second).UnixMicro(), []byte{0xff, 0}
		f.Steps = append(f.Steps, ScanStep{Told: start.Add(time.Second).UnixMicro()})
		f.MAC = []byte{3}
		must(t, tx.SaveFaceScan(ctx, f))
		same(t, f)(tx.FaceScan(ctx, s.ID))
		other := f
		other.ID = "scan2"
		wantErr(t, tx.SaveFaceScan(ctx, other), ErrNotFound)
		f.Used = true
		must(t, tx.SaveFaceScan(ctx, f))
		wantErr(t, tx.SaveFaceScan(ctx, f), ErrNotFound) // it is for one use
		must(t, tx.PutFaceScan(ctx, other))
		same(t, other)(tx.FaceScan(ctx, s.ID))
	})
	update(t, db, func(tx *Tx) {
		same(t, int64(1))(tx.DeleteSessionsBefore(ctx, start.AddDate(1, 0, 0)))
		_, err := tx.FaceScan(ctx, s.ID)
		wantErr(t, err, ErrNotFound)
	})
}
