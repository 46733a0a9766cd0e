package service_test

import (
	"testing"

	"latchkey/internal/api"
	"latchkey/internal/audit"
	"latchkey/internal/card/emulator"
	"latchkey/internal/problem"
	"latchkey/internal/unlock"
	"latchkey/internal/unlock/unlocktest"
)

// TestDatabaseFaultsMidway: the disk is full, or the database turns read-only,
// when the keys are to be released. The application is told which, nothing is
// given out that is not kept, and when it is over the same session goes on.
func TestDatabaseFaultsMidway(t *testing.T) {
	for name, test := range map[string]struct {
		begin, end string
		code       problem.Code
	}{
		"disk full": {`PRAGMA max_page_count = 1`, `PRAGMA max_page_count = 1000000`, problem.DiskFull}, // 1: SQLite makes it the size of now
		"read-only": {`PRAGMA query_only = 1`, `PRAGMA query_only = 0`, problem.DatabaseReadOnly},
	} {
		t.Run(name, func(t *testing.T) {
			x, card := installed(t, nil)
			c := verified(t, x, card)
			sql := func(statement string) {
				t.Helper()
				_, err := x.DB.SQL().ExecContext(t.Context(), statement)
				c.must(err)
			}
			// An empty page or two may be left; after that the smallest of
			// writes still find room in pages that are there. When they don't,
			// nothing does.
			var started []api.Credentials
			begin := func() error {
				s, err := x.Client.Start(t.Context(), (&caller{t: t, card: c.card}).startRequest())
				started = append(started, api.Credentials{ID: s.ID, Token: s.Token})
				return err
			}
			for range 20 {
				c.must(begin())
			}
			sql(test.begin)
			var err error
			for i := 0; err == nil && i < 500; i++ {
				err = begin()
			}
			wantClosed(t, err, test.code)
			err = nil
			for i := 0; err == nil && i < 20; i++ {
				err = x.Client.Abandon(t.Context(), started[i])
			}
			wantClosed(t, err, test.code)
			request := api.ReleaseRequest{Step: 1, CardID: c.card.GUID, Slot: "9E", Signature: c.sign(c.proof(api.PurposeRelease, 1))}
			_, err = x.Client.Release(t.Context(), c.who, request)
			wantClosed(t, err, test.code)
			if keys := x.Candidates(t, card); len(keys) != 1 {
				t.Errorf("%d candidates: a key was made that nobody was given", len(keys))
			}
			if _, err := x.Client.Service(t.Context()); err != nil {
				t.Errorf("it does not even say who it is: %v", err)
			}
			sql(test.end)
			e := c.release()
			if _, err := c.report(c.unlocked(e.Epoch)); err != nil {
				t.Errorf("afterwards: %v", err)
			}
			trail, err := audit.Verify(t.Context(), x.DB)
			if c.must(err); trail.Broken != nil {
				t.Errorf("the audit trail is broken: %+v", trail.Broken)
			}
		})
	}
}

func wantClosed(t testing.TB, err error, code problem.Code) {
	t.Helper()
	if p := problem.From(err); err == nil || p.Code != code || p.Status != 503 {
		t.Errorf("got %v, want %s with status 503", err, code)
	}
}

// TestExpiredCodeIsNotSent: what a mail server that was away could still send
// is of no use after the session's end, and is not sent.
func TestExpiredCodeIsNotSent(t *testing.T) {
	x, card := installed(t, nil)
	c := &caller{Installation: x, t: t, card: card.State()}
	s, err := x.Client.Start(t.Context(), c.startRequest())
	c.must(err)
	c.who, c.nonce = api.Credentials{ID: s.ID, Token: s.Token}, s.Nonce
	_, err = x.Client.Prove(t.Context(), c.who, api.ProofRequest{Slot: "9E", Signature: c.sign(c.proof(api.PurposeCardProof, 0))})
	c.must(err)
	_, err = x.Client.SendCode(t.Context(), c.who, api.CodeRequest{Method: api.MethodEmail, Address: unlocktest.Email})
	c.must(err)
	x.Advance(unlock.Defaults().Session - 1)
	if x.Code(t) == "" {
		t.Error("a code that is good for a moment more is not sent")
	}
	x.Advance(1)
	if x.Code(t) != "" {
		t.Error("a code of no use is sent")
	}
}

// TestTwoSessionsOfTwoCards: each has its session; neither is in the other's way.
func TestTwoSessionsOfTwoCards(t *testing.T) {
	x, first := installed(t, nil)
	second, err := emulator.New(emulator.Options{PUK: "73519264", Now: x.Now()})
	if err != nil {
		t.Fatal(err)
	}
	x.Enrol(t, second)
	a, b := verified(t, x, first), verified(t, x, second)
	for _, c := range []*caller{a, b} {
		if _, err := c.report(c.unlocked(c.release().Epoch)); err != nil {
			t.Error(err)
		}
	}
	for _, card := range []*emulator.Card{first, second} {
		if keys := x.Candidates(t, card); len(keys) != 1 {
			t.Errorf("%d candidates", len(keys))
		}
	}
}
