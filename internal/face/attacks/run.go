package attacks

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"

	"latchkey/internal/face"
	"latchkey/internal/face/scan"
	"latchkey/internal/face/simulate"
)

// Tally is what became of the sessions of a scenario.
type Tally struct {
	Scenario  Scenario
	Sessions  int
	Accepted  int
	Reasons   map[face.Reason]int
	Decisions []face.Decision // in the order of the sessions
}

// Play lets n sessions of a scenario through the checker, several at once. The
// seed decides everything but the checker's own draws.
func Play(ctx context.Context, checker *scan.Checker, people []Person, s Scenario, n, atOnce int, seed uint64) (Tally, error) {
	t := Tally{Scenario: s, Sessions: n, Reasons: map[face.Reason]int{}, Decisions: make([]face.Decision, n)}
	errs := make([]error, n)
	var wg sync.WaitGroup
	next := make(chan int)
	for range atOnce {
		wg.Go(func() {
			for i := range next {
				t.Decisions[i], errs[i] = session(ctx, checker, people, s, rand.New(rand.NewPCG(seed, uint64(i))))
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			return t, fmt.Errorf("%s, session %d: %w", s.Name, i, err)
		}
		t.Reasons[t.Decisions[i].Reason]++
	}
	t.Accepted = t.Reasons[face.Verified]
	return t, nil
}

func session(ctx context.Context, checker *scan.Checker, people []Person, s Scenario, r *rand.Rand) (face.Decision, error) {
	draw := func() (face.Challenge, error) { return scan.DrawFrom(source{r}) }
	c, err := draw()
	if err != nil {
		return face.Decision{}, err
	}
	other, err := draw()
	if err != nil {
		return face.Decision{}, err
	}
	k := s.Make(r, people, c, other)
	e, err := simulate.Scan(r, c, k.Subject, k.Room, k.Camera)
	if err != nil {
		return face.Decision{}, err
	}
	return checker.Decide(ctx, c, e, k.Profile)
}

// source reads random bytes, the same for the same seed.
type source struct{ r *rand.Rand }

func (s source) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(s.r.Uint32())
	}
	return len(b), nil
}
