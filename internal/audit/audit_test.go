package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"latchkey/internal/problem"
	"latchkey/internal/store"
	"latchkey/internal/store/storetest"
)

const (
	nodes   = 2
	entries = 6 // of each node
)

// openTrail makes a trail of nodes*entries entries.
func openTrail(t testing.TB) *store.DB {
	t.Helper()
	path := storetest.SQLite(t)
	var db *store.DB
	for n := range nodes {
		var err error
		db, err = store.Open(context.Background(), path, store.Options{Node: fmt.Sprintf("node%d", n)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		for i := range entries {
			err := db.Update(context.Background(), func(tx *store.Tx) error {
				return Append(context.Background(), tx, Event{Actor: ActorService, Action: ServiceStarted, Session: "s", CardID: "c",
					Holder: "h", Details: map[string]string{"n": fmt.Sprint(i), "m": "x"}})
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	return db
}

func verify(t interface{ Fatal(...any) }, db *store.DB) Result {
	r, err := Verify(context.Background(), db)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestVerifyOfAWholeTrail(t *testing.T) {
	r := verify(t, openTrail(t))
	if r.Err() != nil || r.Entries != nodes*entries || r.Nodes != nodes {
		t.Errorf("%+v: %v", r, r.Err())
	}
	empty, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "test.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer empty.Close()
	if r := verify(t, empty); r.Err() != nil || r.Entries != 0 || r.Nodes != 0 {
		t.Errorf("empty: %+v", r)
	}
}

func TestVerifyNamesTheEntry(t *testing.T) {
	for _, c := range []struct {
		statement, reason string
		seq               int64
	}{
		{`UPDATE audit SET action = 'x' WHERE node = 'node1' AND seq = 3`, "changed", 3},
		{`UPDATE audit SET details = '{ "m":"x","n":"2"}' WHERE node = 'node1' AND seq = 3`, "changed", 3},
		{`DELETE FROM audit WHERE node = 'node1' AND seq = 3`, "missing", 3},
		{`DELETE FROM audit WHERE node = 'node1' AND seq = 1`, "missing", 1},
		{`DELETE FROM audit WHERE node = 'node1' AND seq > 3`, "cut off", 4},
		{`DELETE FROM audit WHERE node = 'node1'`, "no entries", 1},
		{`UPDATE audit SET seq = 100 - seq WHERE node = 'node1' AND seq IN (3, 4);
		  UPDATE audit SET seq = seq - 93 WHERE seq = 96; UPDATE audit SET seq = seq - 93 WHERE seq = 97`, "follow on", 3},
		{`DELETE FROM audit_heads WHERE node = 'node1'`, "not on record", 6},
		{`UPDATE audit_heads SET seq = 5 WHERE node = 'node1'`, "not the newest", 6},
		{`INSERT INTO audit SELECT node, 0, at, actor, action, session, card_id, holder, details, prev, hash
		  FROM audit WHERE node = 'node1' AND seq = 1`, "put in", 0},
	} {
		db := openTrail(t)
		if _, err := db.SQL().Exec(c.statement); err != nil {
			t.Fatal(err)
		}
		r := verify(t, db)
		if r.Broken == nil || r.Broken.Node != "node1" || r.Broken.Seq != c.seq || !strings.Contains(r.Broken.Reason, c.reason) {
			t.Errorf("%s: %+v", c.statement, r.Broken)
		}
		if problem.CodeOf(r.Err()) != problem.AuditBroken {
			t.Errorf("%s: %v", c.statement, r.Err())
		}
	}
}

// TestAnyOneChangeIsFound changes one value of one row to any other value.
func TestAnyOneChangeIsFound(t *testing.T) {
	db := openTrail(t)
	ctx := context.Background()
	columns := []string{"node", "seq", "at", "actor", "action", "session", "card_id", "holder", "details", "prev", "hash"}
	rapid.Check(t, func(t *rapid.T) {
		column := rapid.SampledFrom(columns).Draw(t, "column")
		node := fmt.Sprintf("node%d", rapid.IntRange(0, nodes-1).Draw(t, "node"))
		seq := rapid.IntRange(1, entries).Draw(t, "seq")
		var value any
		switch column {
		case "seq", "at":
			value = rapid.Int64Range(-5, 1<<50).Draw(t, "value")
		case "prev", "hash":
			value = rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "value")
		default:
			value = rapid.String().Draw(t, "value")
		}
		tx, err := db.SQL().BeginTx(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		var before any
		row := `node = $1 AND seq = $2`
		if err := tx.QueryRow(`SELECT `+column+` FROM audit WHERE `+row, node, seq).Scan(&before); err != nil {
			t.Fatal(err)
		}
		_, err = tx.Exec(`UPDATE audit SET `+column+` = $3 WHERE `+row, node, seq, value)
		if err != nil || fmt.Sprint(before) == fmt.Sprint(value) {
			_ = tx.Rollback() // the database itself refused it, or it is no change
			return
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		found := verify(t, db).Broken
		switch column { // the row is found under its changed name
		case "node":
			node = value.(string)
		case "seq":
			seq = int(value.(int64))
		}
		if _, err := db.SQL().Exec(`UPDATE audit SET `+column+` = $3 WHERE `+row, node, seq, before); err != nil {
			t.Fatal(err)
		}
		if found == nil {
			t.Fatalf("%s of %s/%d = %q was not found", column, node, seq, value)
		}
	})
	if r := verify(t, db); r.Err() != nil {
		t.Fatalf("the changes were not undone: %+v", r.Broken)
	}
}

func TestExport(t *testing.T) {
	var out bytes.Buffer
	if err := Export(t.Context(), openTrail(t), &out); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(lines) != nodes*entries {
		t.Fatalf("%d lines", len(lines))
	}
	prev := strings.Repeat("0", 64)
	for i, text := range lines {
		var l line
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatal(err)
		}
		if i == entries {
			prev = strings.Repeat("0", 64)
		}
		if l.Seq != int64(i%entries+1) || l.Node != fmt.Sprintf("node%d", i/entries) || l.Prev != prev || l.Details["m"] != "x" || l.At.IsZero() {
			t.Errorf("line %d: %s", i, text)
		}
		prev = l.Hash
	}
}
