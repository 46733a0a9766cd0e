package store

import "context"

const holderColumns = `id, staff_number, name, state, created_at, mac`

func scanHolder(r scanner) (h Holder, err error) {
	err = r.Scan(&h.ID, &h.StaffNumber, &h.Name, &h.State, stamp{&h.CreatedAt}, &h.MAC)
	return h, err
}

// InsertHolder adds a holder: ErrExists where the id or staff number is taken.
func (t *Tx) InsertHolder(ctx context.Context, h Holder) error {
	return t.insert(ctx, "insert holder",
		`INSERT INTO holders (`+holderColumns+`) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`,
		h.ID, h.StaffNumber, h.Name, h.State, micros(h.CreatedAt), h.MAC)
}

// UpdateHolder replaces staff number, name, state and MAC.
func (t *Tx) UpdateHolder(ctx context.Context, h Holder) error {
	return t.change(ctx, "update holder",
		`UPDATE holders SET staff_number = $2, name = $3, state = $4, mac = $5 WHERE id = $1`,
		h.ID, h.StaffNumber, h.Name, h.State, h.MAC)
}

// Holder reads a holder.
func (t *Tx) Holder(ctx context.Context, id string) (Holder, error) {
	return one(ctx, t, "holder", scanHolder, `SELECT `+holderColumns+` FROM holders WHERE id = $1`, id)
}

// HolderByStaffNumber finds a holder.
func (t *Tx) HolderByStaffNumber(ctx context.Context, number string) (Holder, error) {
	return one(ctx, t, "holder", scanHolder, `SELECT `+holderColumns+` FROM holders WHERE staff_number = $1`, number)
}

// LockHolder reads a holder and keeps others from changing it until the
// transaction ends.
func (t *Tx) LockHolder(ctx context.Context, id string) (Holder, error) {
	return lock(ctx, t, "lock holder", scanHolder, `SELECT `+holderColumns+` FROM holders WHERE id = $1`, id)
}

const contactColumns = `id, holder_id, kind, value, created_at, mac`

func scanContact(r scanner) (c Contact, err error) {
	err = r.Scan(&c.ID, &c.HolderID, &c.Kind, &c.Value, stamp{&c.CreatedAt}, &c.MAC)
	return c, err
}

// InsertContact adds a contact: ErrExists where the holder has it already.
func (t *Tx) InsertContact(ctx context.Context, c Contact) error {
	return t.insert(ctx, "insert contact",
		`INSERT INTO contacts (`+contactColumns+`) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`,
		c.ID, c.HolderID, c.Kind, c.Value, micros(c.CreatedAt), c.MAC)
}

// DeleteContact removes a contact.
func (t *Tx) DeleteContact(ctx context.Context, id string) error {
	return t.change(ctx, "delete contact", `DELETE FROM contacts WHERE id = $1`, id)
}

// Contacts gives the contacts of a holder, the oldest first.
func (t *Tx) Contacts(ctx context.Context, holderID string) ([]Contact, error) {
	return many(ctx, t, "contacts", scanContact,
		`SELECT `+contactColumns+` FROM contacts WHERE holder_id = $1 ORDER BY created_at, kind, value`, holderID)
}

// ContactsByValue gives the contacts of any holder with this normalised value.
func (t *Tx) ContactsByValue(ctx context.Context, kind, value string) ([]Contact, error) {
	return many(ctx, t, "contacts by value", scanContact,
		`SELECT `+contactColumns+` FROM contacts WHERE kind = $1 AND value = $2 ORDER BY id`, kind, value)
}
