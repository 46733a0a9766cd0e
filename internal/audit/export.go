package audit

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"latchkey/internal/store"
)

// line is an entry as Export writes it.
type line struct {
	Node    string            `json:"node"`
	Seq     int64             `json:"seq"`
	At      time.Time         `json:"at"`
	Actor   string            `json:"actor"`
	Action  string            `json:"action"`
	Session string            `json:"session,omitempty"`
	Card    string            `json:"card,omitempty"`
	Holder  string            `json:"holder,omitempty"`
	Details map[string]string `json:"details,omitempty"`
	Prev    string            `json:"prev"`
	Hash    string            `json:"hash"`
}

// Export writes the trail as of one moment, one JSON object a line, ordered by
// node and number. Hashes are hexadecimal.
func Export(ctx context.Context, db *store.DB, w io.Writer) error {
	out := bufio.NewWriter(w)
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	err := db.View(ctx, func(tx *store.Tx) error {
		return tx.EachAudit(ctx, "", 0, func(e Event) error {
			return enc.Encode(line{Node: e.Node, Seq: e.Seq, At: e.At, Actor: e.Actor, Action: e.Action,
				Session: e.Session, Card: e.CardID, Holder: e.Holder, Details: e.Details,
				Prev: hex.EncodeToString(e.Prev), Hash: hex.EncodeToString(e.Hash)})
		})
	})
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		return fmt.Errorf("export the audit trail: %w", err)
	}
	return nil
}
