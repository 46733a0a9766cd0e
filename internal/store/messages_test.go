package store

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func testMessages(t *testing.T, db *DB) {
	ctx := t.Context()
	now := start
	db.clock = func() time.Time { return now }
	m := Message{ID: NewID(), Session: "s1", Kind: "code", Method: "sms", Address: "pseudonym"}
	update(t, db, func(tx *Tx) {
		must(t, tx.QueueMessage(ctx, m))
		m.State, m.CreatedAt, m.UpdatedAt = MessageQueued, start, start
		again := m
		again.Session = "other"
		must(t, tx.QueueMessage(ctx, again)) // stays as it was
		same(t, m)(tx.Message(ctx, m.ID))
		same(t, m)(tx.LockMessage(ctx, m.ID))
		_, err := tx.Message(ctx, "none")
		wantErr(t, err, ErrNotFound)
		_, err = tx.SaveMessage(ctx, Message{ID: "none", State: MessageSent})
		wantErr(t, err, ErrNotFound)
		_, err = tx.LockMessageOfProvider(ctx, "", "")
		wantErr(t, err, ErrNotFound)
	})
	now = now.Add(time.Second)
	update(t, db, func(tx *Tx) {
		m.State, m.Provider, m.ProviderID, m.Parts, m.Attempts, m.SentAt = MessageSent, "twilio", "SM1", 2, 1, now
		m.UpdatedAt = now
		same(t, m)(tx.SaveMessage(ctx, m))
		same(t, m)(tx.LockMessageOfProvider(ctx, "twilio", "SM1"))
		_, err := tx.LockMessageOfProvider(ctx, "notify", "SM1")
		wantErr(t, err, ErrNotFound)
	})
	testMessageStates(t, db, m)

	now = now.Add(time.Hour)
	mail := Message{ID: NewID(), Session: "s2", Kind: "released", Method: "email", Address: "p2"}
	update(t, db, func(tx *Tx) { must(t, tx.QueueMessage(ctx, mail)) })
	view(t, db, func(tx *Tx) {
		for name, c := range map[string]struct {
			f    MessageFilter
			want int
		}{
			"all": {MessageFilter{}, 2}, "newest": {MessageFilter{Limit: 1}, 1}, "state": {MessageFilter{State: MessageQueued}, 1},
			"method": {MessageFilter{Method: "sms"}, 1}, "session": {MessageFilter{Session: "s2"}, 1}, "since": {MessageFilter{Since: now}, 1},
			"none": {MessageFilter{Session: "s2", Method: "sms", State: MessageSent, Since: now, Limit: 3}, 0},
		} {
			got, err := tx.Messages(ctx, c.f)
			if must(t, err); len(got) != c.want || len(got) > 0 && name != "method" && got[0].ID != mail.ID {
				t.Errorf("%s: %+v", name, got)
			}
		}
		same(t, []MessageCount{{"email", MessageQueued, 1}, {"sms", MessageDelivered, 1}})(tx.CountMessages(ctx, MessageFilter{}))
		same(t, []MessageCount{{"email", MessageQueued, 1}})(tx.WaitingMessages(ctx))
	})
	update(t, db, func(tx *Tx) {
		same(t, int64(1))(tx.DeleteMessagesBefore(ctx, now))
		left, err := tx.Messages(ctx, MessageFilter{})
		if must(t, err); len(left) != 1 || left[0].ID != mail.ID {
			t.Errorf("left: %+v", left)
		}
	})
}

// testMessageStates: a message goes forward alone, whatever is said of it in
// whatever order. It ends delivered.
func testMessageStates(t *testing.T, db *DB, m Message) {
	ctx := t.Context()
	for _, c := range []struct {
		say, want MessageState
		reason    string
	}{
		{MessageQueued, MessageSent, ""}, {MessageFailed, MessageFailed, "one"}, {MessageSent, MessageFailed, "one"},
		{MessageDead, MessageFailed, "one"}, {MessageFailed, MessageFailed, "two"}, {MessageDelivered, MessageDelivered, ""},
		{MessageFailed, MessageDelivered, ""}, {MessageSent, MessageDelivered, ""}, {MessageDelivered, MessageDelivered, ""},
	} {
		update(t, db, func(tx *Tx) {
			said := m
			said.State = c.say
			if said.Reason = c.reason; c.say == MessageSent || c.say == MessageDead {
				said.Reason = "not kept"
			}
			saved, err := tx.SaveMessage(ctx, said)
			must(t, err)
			got, err := tx.Message(ctx, m.ID)
			must(t, err)
			if d := cmp.Diff(saved, got); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff([]string{string(c.want), c.reason}, []string{string(got.State), got.Reason}); d != "" && c.want != MessageDelivered {
				t.Errorf("after %q: %s", c.say, d)
			}
			if got.State != c.want {
				t.Errorf("after %q it is %q, want %q", c.say, got.State, c.want)
			}
		})
	}
}
