package emulator_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"

	"latchkey/internal/card/emulator"
)

// model is what a card must remember, in a few lines.
type model struct {
	card               *emulator.Card
	t                  *testing.T
	path               string
	pin, puk           string // padded, in hex
	pinTries, pukTries int
	verified           bool
}

const total = 3

// present is the rule of a try counter.
func present(value, want string, tries *int) string {
	if *tries == 0 {
		return "6983"
	}
	if value != want {
		*tries--
		return fmt.Sprintf("63C%d", *tries)
	}
	*tries = total
	return "9000"
}

func (m *model) expect(r *rapid.T, command, want string) {
	if got := send(m.t, m.card, command); got != want {
		r.Fatalf("%s: got %s, want %s", command, got, want)
	}
}

func value(r *rapid.T, name string) string {
	return rapid.SampledFrom([]string{pin, pin2, puk, puk2, wrong}).Draw(r, name)
}

func (m *model) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"verify": func(r *rapid.T) {
			v := value(r, "PIN")
			want := present(v, m.pin, &m.pinTries)
			m.expect(r, "0020008008"+v, want)
			m.verified = want == "9000"
		},
		"change the PIN": func(r *rapid.T) {
			old, next := value(r, "old"), value(r, "new")
			want := present(old, m.pin, &m.pinTries)
			m.expect(r, "0024008010"+old+next, want)
			if want == "9000" {
				m.pin = next
			}
			if want != "6983" {
				m.verified = want == "9000"
			}
		},
		"change the PUK": func(r *rapid.T) {
			old, next := value(r, "old"), value(r, "new")
			want := present(old, m.puk, &m.pukTries)
			m.expect(r, "0024008110"+old+next, want)
			if want == "9000" {
				m.puk = next
			}
		},
		"unblock": func(r *rapid.T) {
			key, next := value(r, "PUK"), value(r, "new")
			want := present(key, m.puk, &m.pukTries)
			m.expect(r, "002C008010"+key+next, want)
			if want == "9000" {
				m.pin, m.pinTries, m.verified = next, total, false
			}
		},
		"a form that is refused spends no try": func(r *rapid.T) {
			want := "6A80"
			if m.pukTries == 0 {
				want = "6983"
			}
			m.expect(r, "002C008010"+value(r, "PUK")+"3132FFFFFFFFFFFF", want)
		},
		"lock": func(r *rapid.T) {
			if err := m.card.Lock(); err != nil {
				r.Fatal(err)
			}
			m.pinTries = 0
		},
		"take out and put back": func(r *rapid.T) {
			m.card.Reset()
			m.verified = false
			m.expect(r, selectPIV, "61114F0600001000010079074F05A0000003089000")
		},
		"load from the file": func(r *rapid.T) {
			c, err := emulator.Load(m.path)
			if err != nil {
				r.Fatal(err)
			}
			m.card, m.verified = c, false
			send(m.t, m.card, selectPIV)
		},
		"": func(r *rapid.T) { // after each action
			want := fmt.Sprintf("63C%d", m.pinTries)
			switch {
			case m.verified:
				want = "9000"
			case m.pinTries == 0:
				want = "6983"
			}
			m.expect(r, "00200080", want)
			if s := m.card.State(); s.PINTries != m.pinTries || s.PUKTries != m.pukTries {
				r.Fatalf("tries %d and %d, want %d and %d", s.PINTries, s.PUKTries, m.pinTries, m.pukTries)
			}
		},
	}
}

func TestCountersFollowTheModel(t *testing.T) {
	t.Parallel()
	fresh := filepath.Join(t.TempDir(), "fresh.json")
	if _, err := emulator.Create(fresh, emulator.Options{}); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(fresh)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "card.json")
	rapid.Check(t, func(r *rapid.T) {
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			r.Fatal(err)
		}
		c, err := emulator.Load(path)
		if err != nil {
			r.Fatal(err)
		}
		m := &model{card: c, t: t, path: path, pin: pin, puk: puk, pinTries: total, pukTries: total}
		send(t, c, selectPIV)
		r.Repeat(m.actions())
	})
}
