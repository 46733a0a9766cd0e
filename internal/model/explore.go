package model

import (
	"fmt"
	"strings"
)

// Result is what an exploration came to.
type Result struct {
	States, Moves int
	Broken        error
	Trace         []string // what led there
}

func (r Result) String() string {
	if r.Broken == nil {
		return fmt.Sprintf("%d states, %d moves: everything holds", r.States, r.Moves)
	}
	return fmt.Sprintf("%v after\n  %s", r.Broken, strings.Join(r.Trace, "\n  "))
}

// Explore goes through all that can happen to a card within bounds, and checks
// every state. Where an attempt may have one fault it also makes sure that after
// each an attempt without one, or the one after that, unlocks the card (R7). It
// ends at the first thing that does not hold, by the shortest way to it.
func Explore(p Proof, r Rules, b Bounds, check func(State) error) Result {
	type node struct {
		state   State
		attempt int8
	}
	type came struct {
		from node
		by   string
	}
	start := node{state: New(p)}
	seen := map[node]came{start: {}}
	queue := []node{start}
	var out Result
	fail := func(n node, err error) Result {
		for n != start {
			c := seen[n]
			out.Trace = append([]string{c.by}, out.Trace...)
			n = c.from
		}
		out.Broken = err
		return out
	}
	for len(queue) > 0 {
		n := queue[0]
		queue = queue[1:]
		out.States++
		if err := check(n.state); err != nil {
			return fail(n, err)
		}
		if n.state.PC == Over {
			if b.Each == 1 { // R7 is about one fault in an attempt
				if err := recovers(n.state, r); err != nil {
					return fail(n, err)
				}
			}
			if n.attempt+1 >= b.Attempts {
				continue
			}
		}
		for _, m := range Moves(n.state, r, b) {
			out.Moves++
			next := node{m.To, n.attempt}
			if n.state.PC == Over && m.To.PC == Begin {
				next.attempt++
			}
			if _, known := seen[next]; !known {
				seen[next] = came{n, m.Name}
				queue = append(queue, next)
			}
		}
	}
	return out
}

// recovers makes sure of R7, whether a late report arrives before or never.
func recovers(s State, r Rules) error {
	ways := []State{s}
	if s.Late.Sent {
		arrived := s
		arrived.report(arrived.Late, false, r)
		arrived.Late, arrived.Lately = Report{}, false
		ways = append(ways, arrived.bare())
	}
	for _, w := range ways {
		won := false
		for range 2 {
			w = w.again().bare()
			for w.PC != Over {
				w = smooth(w, r)
				if err := Check(w); err != nil {
					return err
				}
			}
			if won = w.Won; won {
				break
			}
		}
		if !won {
			return Broken{"R7", "two attempts without a fault do not unlock the card"}
		}
	}
	return nil
}

// smooth is what happens next where nothing goes wrong.
func smooth(s State, r Rules) State {
	for _, m := range Moves(s, r, Bounds{}) {
		if !m.Fault && m.Name != "a late report arrives" && !strings.HasSuffix(m.Name, "presented again") {
			return m.To
		}
	}
	panic("the model stands still") // a mistake in it
}
