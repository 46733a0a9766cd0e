package audit

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"

	"latchkey/internal/problem"
	"latchkey/internal/store"
)

// Broken is the first place where the trail does not fit.
type Broken struct {
	Node   string
	Seq    int64  // the entry, or the one that should be there
	Reason string // in plain words
}

// Result is what Verify found.
type Result struct {
	Entries int64
	Nodes   int
	Broken  *Broken // nil: everything fits
}

// Err is problem.AuditBroken, naming the entry, where something is broken.
func (r Result) Err() error {
	if r.Broken == nil {
		return nil
	}
	p := problem.New(problem.AuditBroken)
	p.Detail = fmt.Sprintf("Entry %d of node %s: %s.", r.Broken.Seq, r.Broken.Node, r.Broken.Reason)
	return p
}

// Verify checks every chain, as of one moment. It stops at the first entry
// that does not fit. Its memory does not grow with the trail.
func Verify(ctx context.Context, db *store.DB) (Result, error) {
	v := verifier{}
	err := db.View(ctx, func(tx *store.Tx) error { return v.run(ctx, tx) })
	if err != nil {
		return Result{}, fmt.Errorf("verify the audit trail: %w", err)
	}
	return v.result, nil
}

// verifier walks the chains in order of node.
type verifier struct {
	result Result
	heads  map[string]store.AuditHead // of chains not reached yet
	node   string
	seq    int64
	prev   []byte
}

func (v *verifier) run(ctx context.Context, tx *store.Tx) error {
	heads, err := tx.AuditHeads(ctx)
	if err != nil {
		return err
	}
	v.heads = make(map[string]store.AuditHead, len(heads))
	for _, h := range heads {
		v.heads[h.Node] = h
	}
	err = tx.EachAudit(ctx, "", 0, func(e Event) error {
		if v.result.Broken == nil {
			v.entry(e)
		}
		return nil
	})
	if err != nil {
		return err
	}
	v.endChain()
	for _, h := range heads {
		if _, left := v.heads[h.Node]; left {
			v.broken(h.Node, 1, "the chain has a newest entry on record but no entries")
		}
	}
	return nil
}

// entry checks one entry against the one before.
func (v *verifier) entry(e Event) {
	if v.result.Nodes == 0 || e.Node != v.node {
		v.endChain()
		v.node, v.seq, v.prev = e.Node, 0, make([]byte, sha256.Size)
		v.result.Nodes++
	}
	v.seq++
	v.result.Entries++
	switch {
	case e.Seq < v.seq:
		v.broken(v.node, e.Seq, "an entry has been put in")
	case e.Seq > v.seq:
		v.broken(v.node, v.seq, "the entry is missing")
	case !bytes.Equal(e.Prev, v.prev):
		v.broken(v.node, v.seq, "it does not follow on from the entry before")
	case !bytes.Equal(e.Hash, e.ChainHash()):
		v.broken(v.node, v.seq, "it has been changed")
	}
	v.prev = e.Hash
}

// endChain checks the end of the chain against its head.
func (v *verifier) endChain() {
	if v.result.Nodes == 0 || v.result.Broken != nil {
		return
	}
	head, ok := v.heads[v.node]
	delete(v.heads, v.node)
	switch {
	case !ok:
		v.broken(v.node, v.seq, "the chain's newest entry is not on record")
	case head.Seq > v.seq:
		v.broken(v.node, v.seq+1, "the entry is missing: the end has been cut off")
	case head.Seq < v.seq || !bytes.Equal(head.Hash, v.prev):
		v.broken(v.node, v.seq, "it is not the newest entry on record")
	}
}

// broken keeps the first finding.
func (v *verifier) broken(node string, seq int64, reason string) {
	if v.result.Broken == nil {
		v.result.Broken = &Broken{Node: node, Seq: seq, Reason: reason}
	}
}
