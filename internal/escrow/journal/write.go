package journal

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"syscall"

	"latchkey/internal/problem"
	"latchkey/internal/seal"
)

// sealKind is the kind of package seal of a journal's lines.
const sealKind = "key-journal"

// place is what a line's contents are sealed for.
func (s *state) place(line int64, kind string) []string {
	return []string{s.id, strconv.FormatInt(line, 10), kind, hex.EncodeToString(s.hash[:])}
}

// seal writes a line of sealed contents. Before the first that a data key
// seals, the key itself is written down, wrapped.
func (j *Journal) seal(ctx context.Context, kind string, contents any, sync bool) (int64, error) {
	plain, err := json.Marshal(contents)
	if err != nil {
		return 0, fmt.Errorf("encode: %w", err)
	}
	for {
		sealed, err := j.o.Keys.Seal(sealKind, j.state.place(j.state.line+1, kind), plain)
		if err != nil {
			return 0, err
		}
		id := seal.KeyOf(sealed)
		if _, ok := j.state.wrapped[id]; ok || j.o.DataKey == nil {
			line, err := j.write(kind, sealed, sync)
			if err == nil {
				j.take(line, kind, plain)
			}
			return line, err
		}
		if err := j.list(ctx, id); err != nil { // that takes a line, so this one has another place
			return 0, err
		}
	}
}

// list writes down a data key.
func (j *Journal) list(ctx context.Context, id string) error {
	k, err := j.o.DataKey(ctx, id)
	if err != nil {
		return fmt.Errorf("data key %s: %w", id, err)
	}
	contents, err := json.Marshal(k)
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	if _, err = j.write(typeKey, contents, false); err == nil { // on the disk with the line that follows
		j.state.wrapped[id] = k
	}
	return err
}

// write adds a line to the file. Where that fails, what came of it is cut off
// again, so that nothing follows half a line.
func (j *Journal) write(kind string, contents []byte, sync bool) (int64, error) {
	if j.broken {
		return 0, problem.Wrap(problem.JournalFault, errors.New("an earlier write has failed and could not be undone"))
	}
	line := j.state.line + 1
	hash := chain(j.state.hash, line, kind, contents)
	text := fmt.Appendf(nil, "%d %s %s %s\n", line, kind, hex.EncodeToString(hash[:]), base64.StdEncoding.EncodeToString(contents))
	_, err := j.file.Write(text)
	if err == nil && sync {
		err = j.file.Sync()
	}
	if err != nil {
		if undo := j.file.Truncate(j.state.offset); undo != nil {
			j.broken = true // catchUp may find it whole again
		}
		return 0, fault(err)
	}
	j.state.offset += int64(len(text))
	j.state.line, j.state.hash = line, hash
	return line, nil
}

func fault(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return problem.Wrap(errNoRoom, err)
	}
	return problem.Wrap(problem.JournalFault, err)
}

// take brings what is known up to date with a line.
func (j *Journal) take(line int64, kind string, plain []byte) {
	s := &j.state
	switch kind {
	case typeNext:
		var e Entry
		if json.Unmarshal(plain, &e) != nil {
			return
		}
		s.open[line] = opened{hash: s.hash, card: e.Card, version: e.Version, key: e.newest().ID}
		s.see(e.Seen)
	case typeDone:
		var d done
		if json.Unmarshal(plain, &d) == nil {
			s.confirm(d.Line)
		}
	case typeCard:
		var c stands
		if json.Unmarshal(plain, &c) == nil {
			s.stands(c.Card, c.Version)
		}
	case typeSeen:
		var seen map[string]int64
		if json.Unmarshal(plain, &seen) == nil {
			s.see(seen)
		}
	}
}

func (s *state) confirm(line int64) {
	o, ok := s.open[line]
	if !ok {
		return
	}
	s.entries++
	s.keys[short(o.key)] = struct{}{}
	s.stands(o.card, o.version)
	// Transactions commit in their order, but may be confirmed in another. What
	// an earlier process left unconfirmed stays: there is little of it.
	if line < s.confirmed {
		delete(s.open, line)
		return
	}
	delete(s.open, s.confirmed)
	s.confirmed = line
}

func (s *state) stands(card string, version int64) {
	if key := short(card); version > s.cards[key] {
		s.cards[key] = version
	}
}

func (s *state) see(seen map[string]int64) {
	for id, line := range seen {
		if line > s.seen[id] {
			s.seen[id] = line
		}
	}
}
