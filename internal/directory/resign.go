package directory

import (
	"context"
	"encoding/hex"
	"fmt"

	"latchkey/internal/cardkey"
	"latchkey/internal/seal"
	"latchkey/internal/store"
)

// resignBatch is how many records one transaction signs again.
const resignBatch = 500

// Resign signs every record that another data key than the newest has signed
// again (an upkeep.Resealer). Records whose MAC does not fit stay as they are:
// absent.
func (d *Directory) Resign(ctx context.Context, db *store.DB, keys *seal.Keyring, progress func(done int64)) (done int64, err error) {
	prefix, err := hex.DecodeString(keys.ID())
	if err != nil {
		return 0, fmt.Errorf("id of the data key: %w", err)
	}
	for _, page := range []func(context.Context, *store.Tx, []byte, string) (string, int, int64, error){d.resignHolders, d.resignContacts, d.resignCards} {
		for after, end := "", false; !end; {
			var next string
			var rows int
			var signed int64
			if err := db.Update(ctx, func(tx *store.Tx) (err error) {
				next, rows, signed, err = page(ctx, tx, prefix, after)
				return err
			}); err != nil {
				return done, err
			}
			done += signed
			progress(done)
			after, end = next, rows < resignBatch
		}
	}
	return done, nil
}

func (d *Directory) resignHolders(ctx context.Context, tx *store.Tx, prefix []byte, after string) (last string, rows int, signed int64, err error) {
	page, err := tx.HoldersSignedOtherwise(ctx, prefix, after, resignBatch)
	for _, h := range page {
		last = h.ID
		if !d.keys.CheckMAC(h.MAC, "holder", holderFields(h)...) {
			continue
		}
		d.signHolder(&h)
		if err := tx.SetHolderMAC(ctx, h.ID, h.MAC); err != nil {
			return last, 0, 0, err
		}
		signed++
	}
	return last, len(page), signed, err
}

func (d *Directory) resignContacts(ctx context.Context, tx *store.Tx, prefix []byte, after string) (last string, rows int, signed int64, err error) {
	page, err := tx.ContactsSignedOtherwise(ctx, prefix, after, resignBatch)
	for _, c := range page {
		last = c.ID
		if !d.keys.CheckMAC(c.MAC, "contact", contactFields(c)...) {
			continue
		}
		d.signContact(&c)
		if err := tx.SetContactMAC(ctx, c.ID, c.MAC); err != nil {
			return last, 0, 0, err
		}
		signed++
	}
	return last, len(page), signed, err
}

func (d *Directory) resignCards(ctx context.Context, tx *store.Tx, prefix []byte, after string) (last string, rows int, signed int64, err error) {
	page, err := tx.CardsSignedOtherwise(ctx, prefix, after, resignBatch)
	for _, c := range page {
		last = c.ID
		candidates, err := tx.CardKeys(ctx, c.ID)
		if err != nil {
			return last, 0, 0, err
		}
		if !d.keys.CheckMAC(c.MAC, "card", cardFields(c)...) || cardkey.CheckStand(d.keys, c, candidates) != nil {
			continue
		}
		d.signCard(&c)
		if c.KeysMAC != nil {
			cardkey.SignAgain(d.keys, &c, candidates)
		}
		if err := tx.SetCardMACs(ctx, c.ID, c.MAC, c.KeysMAC); err != nil {
			return last, 0, 0, err
		}
		signed++
	}
	return last, len(page), signed, err
}

// photoBatch is how many photos one transaction seals again: each has some
// hundred kilobytes.
const photoBatch = 20

// ResealPhotos seals photos and templates again that another data key than the
// newest has sealed (an upkeep.Resealer). Photos that do not open stay as they
// are: absent.
func (d *Directory) ResealPhotos(ctx context.Context, db *store.DB, keys *seal.Keyring, progress func(done int64)) (done int64, err error) {
	prefix, err := hex.DecodeString(keys.ID())
	if err != nil {
		return 0, fmt.Errorf("id of the data key: %w", err)
	}
	for after, end := "", false; !end; {
		n, rows, last := int64(0), 0, ""
		if err := db.Update(ctx, func(tx *store.Tx) error {
			n = 0
			page, err := tx.PhotosSignedOtherwise(ctx, prefix, after, photoBatch)
			rows = len(page)
			for _, p := range page {
				last = p.HolderID
				open, err := d.openPhoto(p)
				if err != nil {
					continue
				}
				// Its digest is a keyed hash, whose key may be another one now.
				p.Digest = d.photoDigest(p.HolderID, open.Picture)
				if err := d.sealPhoto(&p, open.Picture, open.Template); err != nil {
					return err
				}
				if err := tx.PutPhoto(ctx, p); err != nil {
					return err
				}
				n++
			}
			return err
		}); err != nil {
			return done, err
		}
		done += n
		progress(done)
		after, end = last, rows < photoBatch
	}
	return done, nil
}
