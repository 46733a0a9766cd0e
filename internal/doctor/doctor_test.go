package doctor_test

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/internal/api"
	"latchkey/internal/card"
	"latchkey/internal/card/emulator"
	"latchkey/internal/doctor"
	"latchkey/internal/problem"
)

var now = time.Date(2026, 3, 1, 9, 30, 0, 0, time.UTC)

const address = "https://unlock.example.org"

// service answers without a network.
type service struct {
	address string
	info    api.Service
	err     error
}

func (s service) Address() string { return s.address }

func (s service) Service(context.Context) (api.Service, error) { return s.info, s.err }

// seen are readers that see one thing and connect to nothing.
type seen card.Snapshot

func (s seen) Watch(ctx context.Context) <-chan card.Snapshot {
	c := make(chan card.Snapshot, 1)
	c <- card.Snapshot(s)
	context.AfterFunc(ctx, func() { close(c) })
	return c
}

func (s seen) Connect(context.Context, string) (card.Conn, error) { return nil, card.ErrRemoved }

// silent are readers of a service that never says anything.
type silent struct{ seen }

func (silent) Watch(context.Context) <-chan card.Snapshot { return nil }

func newCard(t testing.TB, o emulator.Options) *emulator.Card {
	t.Helper()
	o.Serial, o.Now = 77, now
	c, err := emulator.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// edited is a card whose memory was changed.
func edited(t testing.TB, change func(s *emulator.State)) *emulator.Card {
	t.Helper()
	c := newCard(t, emulator.Options{})
	if err := c.Edit(change); err != nil {
		t.Fatal(err)
	}
	return c
}

func inserted(cards ...*emulator.Card) *emulator.Readers {
	r := emulator.NewReaders()
	for i, c := range cards {
		r.Insert(fmt.Sprint("Reader ", i+1), c)
	}
	return r
}

func answers() service {
	return service{address: address, info: api.Service{APIVersion: api.Version, SigningKey: make([]byte, 32), Time: now}}
}

// healthy is a doctor at a computer where nothing is wrong.
func healthy(t testing.TB) *doctor.Doctor {
	t.Helper()
	pins, err := api.NewPins("", filepath.Join(t.TempDir(), "known_services"))
	if err != nil {
		t.Fatal(err)
	}
	return &doctor.Doctor{Readers: inserted(newCard(t, emulator.Options{})), Service: answers(), Pins: pins, Workstation: "ward-7",
		Application: "1.2.3", Now: func() time.Time { return now }, Browser: func() string { return "chromium" }}
}

// report runs the doctor and makes sure of what every report promises.
func report(t *testing.T, d *doctor.Doctor) doctor.Report {
	t.Helper()
	r := d.Run(t.Context())
	raw, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var back doctor.Report
	if err := json.Unmarshal(raw, &back); err != nil || !cmp.Equal(r.Findings, back.Findings) {
		t.Errorf("as JSON it says something else: %s", cmp.Diff(r.Findings, back.Findings))
	}
	if strings.Contains(string(raw), "Latchkey report of") {
		t.Error("the text is in the JSON")
	}
	lines := strings.Split(r.Text, "\n")
	for _, f := range r.Findings {
		line := fmt.Sprintf("%s: %s. %s", f.Name, f.Level, f.Detail)
		if f.Code != "" {
			line += " [" + string(f.Code) + "]"
		}
		if !slices.Contains(lines, line) {
			t.Errorf("the text has no line %q:\n%s", line, r.Text)
		}
		if wrong := f.Level == doctor.LevelBad || f.Level == doctor.LevelWarning; wrong != (f.Next != "") {
			t.Errorf("%s is %s and the next step is %q", f.Name, f.Level, f.Next)
		}
		if _, ok := problem.Lookup(f.Code); !ok && f.Code != "" || f.Level == doctor.LevelBad && f.Code == "" {
			t.Errorf("%s is %s with the code %q", f.Name, f.Level, f.Code)
		}
		if f.Detail == "" || strings.ContainsAny(f.Detail, "\n\x1b") {
			t.Errorf("%s says %q", f.Name, f.Detail)
		}
	}
	return r
}

// find gives the findings of a name, as "level code: detail".
func find(r doctor.Report, name string) string {
	var out []string
	for _, f := range r.Findings {
		if f.Name == name {
			out = append(out, strings.TrimSpace(fmt.Sprint(f.Level, " ", f.Code))+": "+f.Detail)
		}
	}
	return strings.Join(out, " + ")
}

func TestNothingWrong(t *testing.T) {
	t.Parallel()
	d := healthy(t)
	r := report(t, d)
	want := `Latchkey report of 2026-03-01 09:30 UTC
Computer: ward-7

Smartcard service: good. It is running.
Card reader: good. Found: Reader 1.
Smartcard: good. YubiKey 5.4.3, serial number 77. It is not locked: 3 tries of the passcode are left.
Certificates: good. They are valid until 1 March 2031.
Latchkey service: good. https://unlock.example.org answers.
Safe connection: good. The connection is encrypted, and it is the service that this computer knows.
Clock: good. It agrees with the service's.
Camera: not tested. Face verification needs one. It can be tested in Latchkey's window alone.
Browser: good. Latchkey opens its own window with chromium.
`
	if got, _, _ := strings.Cut(r.Text, "Version: "); got != want {
		t.Errorf("(-want +got):\n%s", cmp.Diff(want, got))
	}
	if got := find(r, "Version"); !strings.HasPrefix(got, "good: Latchkey 1.2.3 on ") {
		t.Errorf("version: %s", got)
	}
}

// TestReaders is every finding on the way to the card.
func TestReaders(t *testing.T) {
	t.Parallel()
	one := func(r card.Reader) card.Readers { return seen{Readers: []card.Reader{r}} }
	down := inserted(newCard(t, emulator.Options{}))
	down.SetService(false)
	for name, c := range map[string]struct {
		readers     card.Readers
		only        string
		test, wants string // the finding, how it begins
		untested    int    // findings that could not be tested, the camera too
	}{
		"no service":      {down, "", "Smartcard service", "bad LK-1001: The smartcard service is not running. ", 4},
		"no answer":       {silent{}, "", "Smartcard service", "bad LK-1001: ", 4},
		"no reader":       {emulator.NewReaders(), "", "Card reader", "bad LK-1002: No card reader found. ", 3},
		"another reader":  {emulator.NewReaders("A"), "B", "Card reader", "bad LK-1002: ", 3},
		"reader":          {emulator.NewReaders("A", "B"), "", "Card reader", "good: Found: A, B.", 2},
		"no card":         {emulator.NewReaders("A"), "", "Smartcard", "bad LK-1003: No smartcard in the reader. ", 2},
		"mute":            {one(card.Reader{Name: "A", Presence: card.Mute}), "", "Smartcard", "bad LK-1005: The card does not answer. ", 2},
		"taken out":       {one(card.Reader{Name: "A", Presence: card.Present}), "", "Smartcard", "bad LK-1007: ", 2},
		"name from afar":  {one(card.Reader{Name: "A\n\x1b[2J", Presence: card.Empty}), "", "Card reader", "good: Found: A\ufffd\ufffd[2J.", 2},
		"one reader only": {emulator.NewReaders("A"), "A", "Smartcard", "bad LK-1003: ", 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test := func(t *testing.T) {
				d := healthy(t)
				d.Readers, d.Reader = c.readers, c.only
				r := report(t, d)
				if got := find(r, c.test); !strings.HasPrefix(got, c.wants) {
					t.Errorf("it finds %q, want %q", got, c.wants)
				}
				untested := 0
				for _, f := range r.Findings {
					if f.Level == doctor.LevelUnknown {
						untested++
					}
				}
				if untested != c.untested {
					t.Errorf("%d were not tested, want %d:\n%s", untested, c.untested, r.Text)
				}
				if got := find(r, "Latchkey service"); got != "good: https://unlock.example.org answers." {
					t.Errorf("the service: %s", got)
				}
			}
			if _, ok := c.readers.(silent); ok {
				synctest.Test(t, test) // it waits for a while
				return
			}
			test(t)
		})
	}
}

// TestCards is every finding about a card. None costs a try.
func TestCards(t *testing.T) {
	t.Parallel()
	until := func(at time.Time) *emulator.Card { return newCard(t, emulator.Options{NotAfter: at}) }
	stranger := newCard(t, emulator.Options{})
	stranger.SetFaults(func(_ int, command []byte) (f emulator.Fault) {
		if command[1] == 0xA4 {
			f.Answer = []byte{0x6A, 0x82}
		}
		return f
	})
	const smartcard, certificates = "Smartcard", "Certificates"
	for name, c := range map[string]struct {
		card        *emulator.Card
		test, wants string
	}{
		"locked":          {edited(t, func(s *emulator.State) { s.PINTries = 0 }), smartcard, "good: YubiKey 5.4.3, serial number 77. It is locked."},
		"plain":           {newCard(t, emulator.Options{Plain: true}), smartcard, "good: PIV card. It is not locked: 3 tries"},
		"PUK spent":       {edited(t, func(s *emulator.State) { s.PUKTries = 0 }), smartcard, "bad LK-1013: "},
		"PUK's last try":  {edited(t, func(s *emulator.State) { s.PUKTries = 1 }), smartcard, "bad LK-1015: "},
		"not recognised":  {stranger, smartcard, "bad LK-1004: This card is not recognised. "},
		"expired":         {until(now.Add(-time.Minute)), certificates, "bad LK-1018: Your smartcard has expired. "},
		"soon":            {until(now.AddDate(0, 0, 10)), certificates, "warning: The card expires on 11 March 2026."},
		"not soon":        {until(now.AddDate(0, 0, 31)), certificates, "good: They are valid until 1 April 2026."},
		"no certificates": {edited(t, func(s *emulator.State) { s.Keys = nil }), certificates, "warning: There are no certificates on the card"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before := c.card.State()
			d := healthy(t)
			d.Readers = inserted(c.card)
			r := report(t, d)
			if got := find(r, c.test); !strings.HasPrefix(got, c.wants) {
				t.Errorf("it finds %q, want %q", got, c.wants)
			}
			if diff := cmp.Diff(before, c.card.State()); diff != "" {
				t.Errorf("the card was changed:\n%s", diff)
			}
			for _, secret := range []string{before.PIN, before.PUK, before.GUID} {
				if strings.Contains(r.Text, secret) {
					t.Errorf("the report shows %s", secret)
				}
			}
		})
	}
}

// TestBusyCard: another program does not let go of the card.
func TestBusyCard(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := healthy(t)
		other, err := d.Readers.Connect(t.Context(), "Reader 1")
		if err == nil {
			err = other.Begin(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		if got := find(report(t, d), "Smartcard"); !strings.HasPrefix(got, "bad LK-1009: Another program is using the smartcard. ") {
			t.Errorf("it finds %q", got)
		}
	})
}

func TestTwoCards(t *testing.T) {
	t.Parallel()
	d := healthy(t)
	d.Readers = inserted(newCard(t, emulator.Options{}), edited(t, func(s *emulator.State) { s.PINTries = 0 }))
	if got := find(report(t, d), "Smartcard"); strings.Count(got, "good: ") != 2 || !strings.HasSuffix(got, "It is locked.") {
		t.Errorf("it finds %q", got)
	}
	d.Reader = "Reader 2"
	if got := find(report(t, d), "Smartcard"); strings.Count(got, "good: ") != 1 || !strings.HasSuffix(got, "It is locked.") {
		t.Errorf("it finds %q", got)
	}
}
