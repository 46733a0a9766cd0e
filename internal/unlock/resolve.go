package unlock

import (
	"context"
	"errors"

	"latchkey/internal/api"
	"latchkey/internal/deliver"
	"latchkey/internal/directory"
	"latchkey/internal/store"
)

// ResolveCode decides, in the queue's worker, whether a code is to go out: it
// is the newest of a session that still waits for it, and the address is the
// holder's. deliver is false where not.
func (s *Service) ResolveCode(ctx context.Context, tx *store.Tx, job deliver.CodeJob) (m deliver.CodeMessage, send bool, err error) {
	x, err := tx.SessionByID(ctx, job.SessionID)
	if errors.Is(err, store.ErrNotFound) {
		return m, false, nil
	}
	if err != nil {
		return m, false, err
	}
	now, err := tx.Now(ctx)
	if err != nil {
		return m, false, err
	}
	code, err := tx.Code(ctx, x.ID)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return m, false, err
	}
	kind, ok := contactKind(api.Method(job.Method))
	if !ok {
		return m, false, nil
	}
	contact, theirs, err := s.Directory.Contact(ctx, tx, x.HolderID, kind, job.Address)
	if err != nil {
		return m, false, err
	}
	waits := api.State(x.State) == api.StateIdentified && now.Before(x.ExpiresAt)
	newest := !code.Used && code.SentAt.Equal(job.SentAt)
	if !theirs || !waits || !newest || !s.Keys.CheckMAC(x.MAC, "session", sessionFields(x)...) {
		return m, false, nil
	}
	holder, err := s.Directory.Holder(ctx, tx, x.HolderID)
	if err != nil {
		return m, false, err
	}
	plain, err := s.Keys.Open(kindCode, []string{x.ID}, job.Sealed)
	return deliver.CodeMessage{To: s.to(contact), Name: holder.Name, Code: string(plain), Workstation: x.Workstation,
		AskedAt: job.SentAt, ValidUntil: x.ExpiresAt}, err == nil, err
}

// to is where messages to a contact go.
func (s *Service) to(c store.Contact) deliver.To {
	to := deliver.To{Method: c.Kind, Address: c.Value, Pseudonym: s.pseudonym(c.Value)}
	if c.Kind == directory.KindSMS {
		to.Country = directory.Country(c.Value)
	}
	return to
}

// ResolveNotice gives the messages of a notice: one to each of the holder's
// addresses.
func (s *Service) ResolveNotice(ctx context.Context, tx *store.Tx, n deliver.Notice) ([]deliver.NoticeMessage, error) {
	holder, err := s.Directory.Holder(ctx, tx, n.HolderID)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	contacts, err := s.Directory.Contacts(ctx, tx, n.HolderID)
	if err != nil {
		return nil, err
	}
	var out []deliver.NoticeMessage
	for _, c := range contacts {
		out = append(out, deliver.NoticeMessage{To: s.to(c), Name: holder.Name, Kind: n.Event, Workstation: n.Workstation, At: n.At})
	}
	return out, nil
}
