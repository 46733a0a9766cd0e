package store

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// AuditHead is the newest entry of a node's chain.
type AuditHead struct {
	Node string
	Seq  int64
	Hash []byte
}

// auditBatch is how many events wait for the commit before they are written
// anyway, so that an import of any size needs little memory.
const auditBatch = 200

// AppendAudit adds an event to this node's chain. It is written with the
// transaction's commit, or not at all; only then it gets its place (Seq, Prev,
// Hash), so that nodes hold the chain's lock as briefly as can be. The event
// that comes back has Node and At.
func (t *Tx) AppendAudit(ctx context.Context, e AuditEvent) (AuditEvent, error) {
	if t.readOnly {
		return e, fmt.Errorf("append to the audit trail: %w", errReadOnly)
	}
	now, err := t.Now(ctx)
	if err != nil {
		return e, err
	}
	e = e.cleaned()
	e.Node, e.At = t.db.node, now
	t.events = append(t.events, e)
	if len(t.events) >= auditBatch {
		return e, t.flushAudit(ctx)
	}
	return e, nil
}

// flushAudit chains and writes the events that wait.
func (t *Tx) flushAudit(ctx context.Context) error {
	if len(t.events) == 0 {
		return nil
	}
	// Locks the head until the commit. The hash that comes back is that of the
	// entry before ours.
	head, err := one(ctx, t, "audit head", scanHead,
		`INSERT INTO audit_heads (node, seq, hash) VALUES ($1, $2, $3)
		ON CONFLICT (node) DO UPDATE SET seq = audit_heads.seq + excluded.seq RETURNING node, seq, hash`,
		t.db.node, len(t.events), make([]byte, sha256.Size))
	if err != nil {
		return err
	}
	seq, prev := head.Seq-int64(len(t.events)), head.Hash
	for i := range t.events {
		e := &t.events[i]
		seq++
		e.Seq, e.Prev = seq, prev
		e.Hash = e.ChainHash()
		prev = e.Hash
	}
	if err := t.insertAudit(ctx, t.events); err != nil {
		return err
	}
	t.events = t.events[:0]
	return t.change(ctx, "move audit head", `UPDATE audit_heads SET hash = $2 WHERE node = $1`, t.db.node, prev)
}

// insertAudit writes entries with one statement.
func (t *Tx) insertAudit(ctx context.Context, events []AuditEvent) error {
	const columns = 11
	var values strings.Builder
	args := make([]any, 0, columns*len(events))
	for _, e := range events {
		details, err := encodeDetails(e.Details)
		if err != nil {
			return err
		}
		args = append(args, e.Node, e.Seq, micros(e.At), e.Actor, e.Action, e.Session, e.CardID, e.Holder, details, e.Prev, e.Hash)
		values.WriteString(", (")
		for n := len(args) - columns + 1; n < len(args); n++ {
			fmt.Fprintf(&values, "$%d, ", n)
		}
		fmt.Fprintf(&values, "$%d)", len(args))
	}
	_, err := t.exec(ctx, "insert audit entries",
		`INSERT INTO audit (`+auditColumns+`) VALUES `+strings.TrimPrefix(values.String(), ", "), args...)
	return err
}

// encodeDetails gives one text for one map: encoding/json sorts the names.
func encodeDetails(d map[string]string) (string, error) {
	text, err := json.Marshal(d)
	if err != nil {
		return "", fmt.Errorf("encode audit details: %w", err)
	}
	return string(text), nil
}

// ChainHash is SHA-256 over a label, every field of the entry (details in
// order of their names) and the hash of the entry before, each behind its
// length, so that no two different entries give the same bytes.
func (e AuditEvent) ChainHash() []byte {
	var b []byte
	field := func(s string) {
		b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
		b = append(b, s...)
	}
	number := func(n int64) { b = binary.BigEndian.AppendUint64(b, uint64(n)) }
	field("latchkey audit v1")
	field(e.Node)
	number(e.Seq)
	number(micros(e.At))
	for _, s := range []string{e.Actor, e.Action, e.Session, e.CardID, e.Holder} {
		field(s)
	}
	number(int64(len(e.Details)))
	for _, name := range slices.Sorted(maps.Keys(e.Details)) {
		field(name)
		field(e.Details[name])
	}
	field(string(e.Prev))
	sum := sha256.Sum256(b)
	return sum[:]
}

// cleaned is the event as both databases keep it: PostgreSQL takes neither
// invalid UTF-8 nor NUL in text, and parts of an event are a client's claims.
func (e AuditEvent) cleaned() AuditEvent {
	for _, s := range []*string{&e.Actor, &e.Action, &e.Session, &e.CardID, &e.Holder} {
		*s = cleanText(*s)
	}
	details := make(map[string]string, len(e.Details))
	for k, v := range e.Details {
		details[cleanText(k)] = cleanText(v)
	}
	e.Details = details
	return e
}

func cleanText(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

const auditColumns = `node, seq, at, actor, action, session, card_id, holder, details, prev, hash`

func scanAudit(r scanner) (e AuditEvent, err error) {
	var details string
	err = r.Scan(&e.Node, &e.Seq, stamp{&e.At}, &e.Actor, &e.Action, &e.Session, &e.CardID, &e.Holder,
		&details, &e.Prev, &e.Hash)
	if err != nil {
		return e, err
	}
	err = json.Unmarshal([]byte(details), &e.Details)
	if again, encodeErr := encodeDetails(e.Details); err != nil || encodeErr != nil || again != details {
		// Not text that we wrote. The entry's hash must show it.
		e.Details = map[string]string{"unreadable": details}
	}
	return e, nil
}

func scanHead(r scanner) (h AuditHead, err error) {
	err = r.Scan(&h.Node, &h.Seq, &h.Hash)
	return h, err
}

// EachAudit calls fn for the entries of a node (of all nodes where node is
// empty) with Seq from on, ordered by node and Seq. fn may use the transaction.
func (t *Tx) EachAudit(ctx context.Context, node string, from int64, fn func(AuditEvent) error) error {
	// Both conditions begin where the page before ended, in the primary key.
	where := `(node, seq) > ($1, $2) AND seq >= $3`
	if node != "" {
		where = `node = $1 AND seq > $2 AND seq >= $3`
	}
	lastNode, lastSeq := node, from-1
	for {
		page, err := many(ctx, t, "audit", scanAudit,
			`SELECT `+auditColumns+` FROM audit WHERE `+where+` ORDER BY node, seq LIMIT $4`,
			lastNode, lastSeq, from, pageRows)
		if err != nil {
			return err
		}
		for _, e := range page {
			if err := fn(e); err != nil {
				return err
			}
			lastNode, lastSeq = e.Node, e.Seq
		}
		if len(page) < pageRows {
			return nil
		}
	}
}

// AuditHeads gives the newest entry of each node's chain, ordered by node.
func (t *Tx) AuditHeads(ctx context.Context) ([]AuditHead, error) {
	return many(ctx, t, "audit heads", scanHead, `SELECT node, seq, hash FROM audit_heads ORDER BY node`)
}
