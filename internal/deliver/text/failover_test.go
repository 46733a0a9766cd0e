package text_test

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"latchkey/internal/deliver/text"
)

// fake fails as it is told: with each of script once, then takes everything.
type fake struct {
	name   string
	script []error
	asked  int
}

func (f *fake) Name() string { return f.name }

func (f *fake) Send(context.Context, text.Message) (text.Sent, error) {
	f.asked++
	if len(f.script) > 0 {
		err := f.script[0]
		f.script = f.script[1:]
		if err != nil {
			return text.Sent{}, err
		}
	}
	return text.Sent{ID: "of-" + f.name}, nil
}

func fails(provider string, k text.Kind) *text.Error {
	return &text.Error{Provider: provider, Kind: k, Code: string(k) + "-code"}
}

func TestFailover(t *testing.T) {
	for name, c := range map[string]struct {
		first, second []error
		sent          string
		kind          text.Kind
		by, code      string
		asked         [2]int
	}{
		"the first takes it":                {nil, nil, "a", "", "", "", [2]int{1, 0}},
		"away: the second":                  {[]error{fails("a", text.Away)}, nil, "b", "", "", "", [2]int{1, 1}},
		"refused: the second":               {[]error{fails("a", text.Refused)}, nil, "b", "", "", "", [2]int{1, 1}},
		"impossible: nobody":                {[]error{fails("a", text.Impossible)}, nil, "", text.Impossible, "a", "impossible-code", [2]int{1, 0}},
		"unclear: nobody":                   {[]error{fails("a", text.Unclear)}, nil, "", text.Unclear, "a", "unclear-code", [2]int{1, 0}},
		"an unknown error is unclear":       {[]error{errors.New("what")}, nil, "", text.Unclear, "a", "unknown", [2]int{1, 0}},
		"away twice":                        {[]error{fails("a", text.Away)}, []error{fails("b", text.Away)}, "", text.Away, "a", "away-code", [2]int{1, 1}},
		"refused twice":                     {[]error{fails("a", text.Refused)}, []error{fails("b", text.Refused)}, "", text.Refused, "a", "refused-code", [2]int{1, 1}},
		"away is more than refused":         {[]error{fails("a", text.Refused)}, []error{fails("b", text.Away)}, "", text.Away, "b", "away-code", [2]int{1, 1}},
		"away, then refused":                {[]error{fails("a", text.Away)}, []error{fails("b", text.Refused)}, "", text.Away, "a", "away-code", [2]int{1, 1}},
		"away, then impossible":             {[]error{fails("a", text.Away)}, []error{fails("b", text.Impossible)}, "", text.Impossible, "b", "impossible-code", [2]int{1, 1}},
		"refused, then unclear, is unclear": {[]error{fails("a", text.Refused)}, []error{fails("b", text.Unclear)}, "", text.Unclear, "b", "unclear-code", [2]int{1, 1}},
	} {
		a, b := &fake{name: "a", script: c.first}, &fake{name: "b", script: c.second}
		observed := 0
		f := text.NewFailover([]text.Provider{a, b}, text.FailoverOptions{Observe: func(string, error) { observed++ }})
		sent, err := f.Send(t.Context(), text.Message{})
		var e *text.Error
		switch {
		case c.sent != "":
			if err != nil || sent.Provider != c.sent || sent.ID != "of-"+c.sent {
				t.Errorf("%s: %+v, %v", name, sent, err)
			}
		case !errors.As(err, &e) || e.Kind != c.kind || e.Provider != c.by || e.Code != c.code:
			t.Errorf("%s: %v, want %s by %s (%s)", name, err, c.kind, c.by, c.code)
		}
		if got := [2]int{a.asked, b.asked}; got != c.asked || observed != got[0]+got[1] {
			t.Errorf("%s: asked %v, observed %d", name, got, observed)
		}
	}
}

func TestFailoverWithNobody(t *testing.T) {
	_, err := text.NewFailover(nil, text.FailoverOptions{}).Send(t.Context(), text.Message{})
	var e *text.Error
	if !errors.As(err, &e) || e.Kind != text.Refused || e.Code != "no-provider" {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	a := &fake{name: "a"}
	_, err = text.NewFailover([]text.Provider{a}, text.FailoverOptions{}).Send(ctx, text.Message{})
	if !errors.As(err, &e) || e.Kind != text.Away || e.Code != "cancelled" || a.asked != 0 {
		t.Errorf("%v, asked %d", err, a.asked)
	}
}

// breaker is a failover whose clock stands still until it is moved.
type breaker struct {
	*text.Failover
	a, b *fake
	now  time.Time
}

func newBreaker(first, second []error) *breaker {
	k := &breaker{a: &fake{name: "a", script: first}, b: &fake{name: "b", script: second}, now: time.Unix(1e9, 0)}
	k.Failover = text.NewFailover([]text.Provider{k.a, k.b}, text.FailoverOptions{Aside: 10 * time.Second, Now: func() time.Time { return k.now }})
	return k
}

func (k *breaker) send(t *testing.T) string {
	sent, err := k.Send(t.Context(), text.Message{})
	var e *text.Error
	if errors.As(err, &e) {
		return string(e.Kind) + " " + e.Code + " " + e.RetryAfter.String()
	}
	return sent.Provider
}

func TestPutAside(t *testing.T) {
	long := fails("a", text.Away)
	long.RetryAfter = time.Minute
	forever := fails("a", text.Away)
	forever.RetryAfter = 24 * time.Hour
	type step struct {
		after time.Duration
		want  string
		asked int // of the first, so far
	}
	for name, c := range map[string]struct {
		first, second []error
		steps         []step
	}{
		"until its time is over": {[]error{fails("a", text.Away)}, nil,
			[]step{{0, "b", 1}, {9 * time.Second, "b", 1}, {time.Second, "a", 2}, {0, "a", 3}}},
		"again where it is still away": {[]error{fails("a", text.Away), fails("a", text.Away)}, nil,
			[]step{{0, "b", 1}, {10 * time.Second, "b", 2}, {9 * time.Second, "b", 2}, {time.Second, "a", 3}}},
		"for as long as it said": {[]error{long}, nil,
			[]step{{0, "b", 1}, {59 * time.Second, "b", 1}, {time.Second, "a", 2}}},
		"but not for a day": {[]error{forever}, nil,
			[]step{{0, "b", 1}, {5*time.Minute - 1, "b", 1}, {1, "a", 2}}},
		"where it was unclear too": {[]error{fails("a", text.Unclear)}, nil,
			[]step{{0, "unclear unclear-code 0s", 1}, {0, "b", 1}, {10 * time.Second, "a", 2}}},
		"not where it refused": {[]error{fails("a", text.Refused)}, nil, []step{{0, "b", 1}, {0, "a", 2}}},
		"a refusal shows that it is back": {[]error{fails("a", text.Away), fails("a", text.Refused)}, nil,
			[]step{{0, "b", 1}, {10 * time.Second, "b", 2}, {0, "a", 3}}},
		"all of them": {[]error{fails("a", text.Away)}, []error{fails("b", text.Away)},
			[]step{{0, "away away-code 0s", 1}, {4 * time.Second, "away aside 6s", 1}, {6 * time.Second, "a", 2}}},
		"a refusal is not the last word while one is aside": {[]error{fails("a", text.Away)}, []error{nil, fails("b", text.Refused)},
			[]step{{0, "b", 1}, {time.Second, "away aside 9s", 1}}},
	} {
		k := newBreaker(c.first, c.second)
		for i, s := range c.steps {
			k.now = k.now.Add(s.after)
			if got := k.send(t); got != s.want || k.a.asked != s.asked {
				t.Errorf("%s, step %d: %q, asked %d, want %q, %d", name, i, got, k.a.asked, s.want, s.asked)
			}
		}
	}
}

// slow takes a message when it is let.
type slow struct{ started, release chan struct{} }

func (s *slow) Name() string { return "slow" }

func (s *slow) Send(context.Context, text.Message) (text.Sent, error) {
	s.started <- struct{}{}
	<-s.release
	return text.Sent{}, fails("slow", text.Away)
}

func TestOneProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := &slow{make(chan struct{}, 100), make(chan struct{}, 100)}, &fake{name: "b"}
		f := text.NewFailover([]text.Provider{first, second}, text.FailoverOptions{Aside: time.Second})
		first.release <- struct{}{}
		if sent, err := f.Send(t.Context(), text.Message{}); err != nil || sent.Provider != "b" {
			t.Fatal(sent, err)
		}
		<-first.started
		time.Sleep(time.Second) // of the bubble's clock
		var wait sync.WaitGroup
		var mu sync.Mutex
		took := map[string]int{}
		for range 20 {
			wait.Go(func() {
				sent, err := f.Send(t.Context(), text.Message{})
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				took[sent.Provider]++
			})
		}
		synctest.Wait()
		if n := len(first.started); n != 1 {
			t.Errorf("%d messages try whether it is back", n)
		}
		first.release <- struct{}{}
		wait.Wait()
		if want := map[string]int{"b": 20}; !reflect.DeepEqual(took, want) {
			t.Errorf("took %v, want %v", took, want)
		}
	})
}
