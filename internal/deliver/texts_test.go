package deliver

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/riverqueue/river"

	"latchkey/internal/api"
	"latchkey/internal/audit"
	"latchkey/internal/deliver/text"
	"latchkey/internal/store"
)

const mobile = "+447700900123"

// gateway is a provider that answers as a test has it.
type gateway struct {
	name string
	mu   sync.Mutex
	fail []error // of the next messages; nil is none
	got  []text.Message
}

func (g *gateway) Name() string { return g.name }

func (g *gateway) Send(_ context.Context, m text.Message) (text.Sent, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	var err error
	if len(g.fail) > 0 {
		err, g.fail = g.fail[0], g.fail[1:]
	}
	if e := (*text.Error)(nil); err == nil || errors.As(err, &e) && e.Kind == text.Unclear {
		g.got = append(g.got, m) // it has it all the same
	}
	if err != nil {
		return text.Sent{}, err
	}
	return text.Sent{Provider: g.name, ID: g.name + "-1", Parts: 1}, nil
}

func (g *gateway) messages() []text.Message {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.got)
}

func failure(provider string, kind text.Kind) error {
	return &text.Error{Provider: provider, Kind: kind, Code: "x1", Err: errors.New("for " + mobile)}
}

func textWords(t testing.TB, o TextWordsOptions) *TextWords {
	t.Helper()
	if o.Organisation == "" {
		o.Organisation = "St Example's Hospital"
	}
	w, err := NewTextWords(o)
	must(t, err)
	return w
}

// phones are text messages at work.
type phones struct {
	*office
	dir string
}

// hirePhones is a queue that sends text messages through providers.
func hirePhones(t testing.TB, database string, guard Guard, providers ...text.Provider) *phones {
	t.Helper()
	w := &phones{office: &office{t: t, log: &locked{}}, dir: t.TempDir()}
	db, err := store.Open(t.Context(), database, store.Options{Node: "test"})
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	texter, err := NewTexter(TexterOptions{Providers: providers, Dir: w.dir, Words: textWords(t, TextWordsOptions{})})
	must(t, err)
	w.Queue, err = NewQueue(db, Senders{Mail: mailer(t, MailerOptions{}), Text: texter, Guard: guard},
		slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	must(t, err)
	w.unclearWait = 100 * time.Millisecond
	return w
}

// roomy is a guard that refuses nothing.
func roomy() Guard { return Guard{PerHour: 1000, Other: 1000} }

// start has the workers begin.
func (w *phones) start(r Resolver) {
	w.t.Helper()
	must(w.t, w.Start(w.t.Context(), r))
	w.events, _ = w.worker.Subscribe(river.EventKindJobCompleted, river.EventKindJobFailed, river.EventKindJobCancelled, river.EventKindJobSnoozed)
	w.t.Cleanup(w.stop)
}

// phone is a Resolver whose codes go to a mobile phone.
type phone struct {
	answers
	country string
}

func (p *phone) ResolveCode(_ context.Context, _ *store.Tx, job CodeJob) (CodeMessage, bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return CodeMessage{To: To{Method: methodSMS, Address: mobile, Country: p.country, Pseudonym: "p1"}, Name: "Sam Taylor", Code: "123456",
		Workstation: "ward-7.example.org", AskedAt: asked, ValidUntil: asked.Add(15 * time.Minute)}, p.send, p.err
}

func home() *phone { return &phone{answers: answers{send: true}, country: "GB"} }

// text queues a code by text message and gives its reference.
func (w *phones) text() string {
	w.t.Helper()
	must(w.t, w.db.Update(w.t.Context(), func(tx *store.Tx) error {
		return w.SendCode(w.t.Context(), tx, CodeJob{SessionID: "s1", Method: methodSMS, Address: mobile, Pseudonym: "p1", Sealed: []byte("sealed"), SentAt: asked})
	}))
	all := w.records()
	return all[0].ID
}

// records are the messages on record, the newest first.
func (w *phones) records() (all []store.Message) {
	w.t.Helper()
	must(w.t, w.db.View(w.t.Context(), func(tx *store.Tx) (err error) {
		all, err = tx.Messages(w.t.Context(), store.MessageFilter{})
		return err
	}))
	return all
}

func (w *phones) record(id string) (m store.Message) {
	w.t.Helper()
	must(w.t, w.db.View(w.t.Context(), func(tx *store.Tx) (err error) {
		m, err = tx.Message(w.t.Context(), id)
		return err
	}))
	return m
}

// wantRecord makes sure of a message's record, and that nothing tells its text
// or number.
func (w *phones) wantRecord(id string, state store.MessageState, provider, reason string) store.Message {
	w.t.Helper()
	m := w.record(id)
	if m.State != state || m.Provider != provider || !strings.Contains(m.Reason, reason) || reason == "" && m.Reason != "" || m.Method != methodSMS || m.Address != "p1" || m.Session != "s1" || m.Kind != kindCode {
		w.t.Errorf("on record: %+v, want %s by %q, %q", m, state, provider, reason)
	}
	raw, err := json.Marshal(m)
	must(w.t, err)
	for _, secret := range []string{"123456", "7700", mobile} {
		if strings.Contains(w.log.String()+strings.Join(w.trail(), " ")+string(raw), secret) {
			w.t.Errorf("log, trail or record tell %q:\n%s\n%s", secret, w.log, raw)
		}
	}
	return m
}

// wantKinds awaits what becomes of the job, in order.
func (w *phones) wantKinds(kinds ...river.EventKind) {
	w.t.Helper()
	for i, want := range kinds {
		if e := w.await(); e.Kind != want {
			w.t.Fatalf("event %d is %s, want %s:\n%s", i, e.Kind, want, w.log)
		}
	}
}

func TestTextMessageIsSentOnce(t *testing.T) {
	on(t, func(t *testing.T, database string) {
		g := &gateway{name: "one"}
		w := hirePhones(t, database, roomy(), g)
		w.start(home())
		id := w.text()
		w.wantKinds(river.EventKindJobCompleted)
		m := w.wantRecord(id, store.MessageSent, "one", "")
		if m.ProviderID != "one-1" || m.Parts != 1 || m.Attempts != 1 || m.Open != 0 || m.SentAt.IsZero() {
			t.Errorf("%+v", m)
		}
		got := g.messages()
		if len(got) != 1 || got[0].To != mobile || got[0].Reference != id || !strings.HasSuffix(got[0].Body, "123456") || !strings.Contains(got[0].Body, "at ward-7 at ") {
			t.Errorf("%+v", got)
		}
		if trail := w.trail(); !slices.Equal(trail, []string{audit.CodeDelivered}) {
			t.Errorf("%q", trail)
		}
		w.wantKept(1, "one")
	})
}

// wantKept makes sure of what is in the folder of messages.
func (w *phones) wantKept(n int, provider string) {
	w.t.Helper()
	files, err := filepath.Glob(filepath.Join(w.dir, "*.json"))
	if must(w.t, err); len(files) != n {
		w.t.Fatalf("%v", files)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		must(w.t, err)
		var kept map[string]any
		must(w.t, json.Unmarshal(raw, &kept))
		info, err := os.Stat(file)
		if must(w.t, err); info.Mode().Perm() != 0o600 || kept["to"] != mobile || kept["provider"] != provider || kept["reference"] == "" ||
			!strings.HasSuffix(kept["body"].(string), "123456") || kept["at"] == nil || len(kept) != 5 {
			w.t.Errorf("%s: %v", info.Mode(), kept)
		}
	}
}

// TestFolderAlone: without a provider messages go to the folder.
func TestFolderAlone(t *testing.T) {
	w := hirePhones(t, filepath.Join(t.TempDir(), "test.db"), roomy())
	w.start(home())
	id := w.text()
	w.wantKinds(river.EventKindJobCompleted)
	w.wantRecord(id, store.MessageSent, providerFolder, "")
	w.wantKept(1, providerFolder)
}

// TestSecondProvider: what the first surely did not take the second gets, in
// the same try.
func TestSecondProvider(t *testing.T) {
	for _, kind := range []text.Kind{text.Away, text.Refused} {
		one, two := &gateway{name: "one", fail: []error{failure("one", kind)}}, &gateway{name: "two"}
		w := hirePhones(t, filepath.Join(t.TempDir(), "test.db"), roomy(), one, two)
		w.start(home())
		id := w.text()
		w.wantKinds(river.EventKindJobCompleted)
		w.wantRecord(id, store.MessageSent, "two", "")
		if len(one.messages()) != 0 || len(two.messages()) != 1 {
			t.Errorf("%s: %d and %d messages", kind, len(one.messages()), len(two.messages()))
		}
	}
}

// TestAwayIsTriedAgain: what passes is tried again until it goes.
func TestAwayIsTriedAgain(t *testing.T) {
	on(t, func(t *testing.T, database string) {
		g := &gateway{name: "one", fail: []error{failure("one", text.Away)}}
		w := hirePhones(t, database, roomy(), g)
		w.start(home())
		id := w.text()
		w.wantKinds(river.EventKindJobFailed)
		w.wantRecord(id, store.MessageQueued, "one", "one: away (x1)")
		for e := w.await(); e.Kind != river.EventKindJobCompleted; { // put aside, and back
			e = w.await()
		}
		if m := w.wantRecord(id, store.MessageSent, "one", ""); m.Attempts < 2 || m.Open != 0 {
			t.Errorf("%+v", m)
		}
	})
}

// TestTextThatCannotBeSent: an address that is none fails, and a provider that
// will not is a dead letter.
func TestTextThatCannotBeSent(t *testing.T) {
	for kind, state := range map[text.Kind]store.MessageState{text.Impossible: store.MessageFailed, text.Refused: store.MessageDead} {
		g := &gateway{name: "one", fail: []error{failure("one", kind)}}
		w := hirePhones(t, filepath.Join(t.TempDir(), "test.db"), roomy(), g)
		w.start(home())
		id := w.text()
		w.wantKinds(river.EventKindJobCancelled)
		w.wantRecord(id, state, "one", "one: "+string(kind)+" (x1)")
		if trail := w.trail(); len(trail) != 1 || !strings.HasPrefix(trail[0], audit.CodeUndelivered+" one: ") {
			t.Errorf("%q", trail)
		}
		if n := w.texts("GB"); n != 0 {
			t.Errorf("%s: what was not taken counts: %d", kind, n)
		}
	}
}

// texts is how many text messages an hour's count has.
func (w *phones) texts(country string) (n int) {
	w.t.Helper()
	must(w.t, w.db.View(w.t.Context(), func(tx *store.Tx) (err error) {
		n, _, err = tx.LimitCount(w.t.Context(), guardWindows(country)[0].Bucket, guardWindow)
		return err
	}))
	return n
}

// TestUnclearIsSentOnceMore: a message that may have been taken waits for its
// receipt; without one it is sent once more and, when that is unclear too, no
// more.
func TestUnclearIsSentOnceMore(t *testing.T) {
	on(t, func(t *testing.T, database string) {
		g := &gateway{name: "one", fail: []error{failure("one", text.Unclear), failure("one", text.Unclear)}}
		w := hirePhones(t, database, roomy(), g, &gateway{name: "two", fail: []error{failure("two", text.Unclear)}})
		w.start(home())
		id := w.text()
		w.wantKinds(river.EventKindJobSnoozed, river.EventKindJobCancelled)
		if m := w.wantRecord(id, store.MessageDead, "two", "unclear"); m.Attempts != 2 || m.Open != 2 {
			t.Errorf("%+v", m)
		}
		if n := w.texts("GB"); n != 2 {
			t.Errorf("what may have been taken counts: %d", n)
		}
	})
}

// TestUnclearWithAReceipt: the receipt says that it was taken: it is not sent
// again.
func TestUnclearWithAReceipt(t *testing.T) {
	for state, want := range map[text.State]store.MessageState{text.StateSent: store.MessageSent, text.StateDelivered: store.MessageDelivered,
		text.StateFailed: store.MessageFailed} {
		g := &gateway{name: "one", fail: []error{failure("one", text.Unclear)}}
		w := hirePhones(t, filepath.Join(t.TempDir(), "test.db"), roomy(), g)
		w.unclearWait = 2 * time.Second
		w.start(home())
		id := w.text()
		w.wantKinds(river.EventKindJobSnoozed)
		must(t, w.receipt(t.Context(), text.Receipt{Provider: "one", ID: "late", Reference: id, State: state, Reason: "27", At: asked}))
		w.wantKinds(river.EventKindJobCompleted)
		if m := w.record(id); m.State != want || m.Attempts != 1 {
			t.Errorf("%s: %+v", state, m)
		}
		if len(g.messages()) != 1 {
			t.Errorf("%s: sent %d times", state, len(g.messages()))
		}
	}
}

// TestKilledWhileSending: a process that ended before it knew what came of a
// message leaves a try without an outcome; the next waits, and sends once more.
func TestKilledWhileSending(t *testing.T) {
	g := &gateway{name: "one"}
	w := hirePhones(t, filepath.Join(t.TempDir(), "test.db"), roomy(), g)
	id := w.text()
	d := dispatch{message: w.record(id), country: "GB"}
	if goOn, err := w.begin(t.Context(), &d); !goOn || err != nil {
		t.Fatal(goOn, err)
	}
	if goOn, err := w.begin(t.Context(), &d); goOn || err == nil {
		t.Errorf("it goes out again at once: %v", err)
	}
	w.start(home())
	for e := w.await(); e.Kind != river.EventKindJobCompleted; {
		e = w.await()
	}
	if m := w.record(id); m.State != store.MessageSent || m.Attempts != 2 || len(g.messages()) != 1 {
		t.Errorf("%+v, %d sent", m, len(g.messages()))
	}
}

// TestOutOfDateText: nobody waits for it. After a failed try it is a dead
// letter, before one it is not.
func TestOutOfDateText(t *testing.T) {
	g := &gateway{name: "one", fail: []error{failure("one", text.Away)}}
	w := hirePhones(t, filepath.Join(t.TempDir(), "test.db"), roomy(), g)
	r := home()
	w.start(r)
	id := w.text()
	w.wantKinds(river.EventKindJobFailed)
	r.set(func(a *answers) { a.send = false })
	w.wantKinds(river.EventKindJobCompleted)
	w.wantRecord(id, store.MessageDead, "one", "one: away (x1)")
	id = w.text()
	w.wantKinds(river.EventKindJobCompleted)
	w.wantRecord(id, store.MessageFailed, "", "out of date, or not an address of the holder")
	if len(g.messages()) != 0 {
		t.Error("it was sent")
	}
}

// TestTextsNotSetUp: a job by text message of an earlier configuration fails
// in order; notices by text message are not made.
func TestTextsNotSetUp(t *testing.T) {
	w := &phones{office: hire(t, filepath.Join(t.TempDir(), "test.db"), MailerOptions{})}
	r := home()
	w.start(r)
	id := w.text()
	w.wantKinds(river.EventKindJobCompleted)
	w.wantRecord(id, store.MessageFailed, "", "text messages are not set up")
	r.set(func(a *answers) {
		a.notices = []NoticeMessage{{To: To{Method: methodSMS, Address: mobile}, Kind: NoticeReleased}}
	})
	w.notice(NoticeReleased)
	w.wantKinds(river.EventKindJobCompleted)
	if all := w.records(); len(all) != 1 {
		t.Errorf("%+v", all)
	}
	wantForged(t, w.Receive(t.Context(), "webhook", nil))
}

// TestNoticesByText: each address of the holder is told in its own way.
func TestNoticesByText(t *testing.T) {
	on(t, func(t *testing.T, database string) {
		g := &gateway{name: "one"}
		w := hirePhones(t, database, roomy(), g)
		r := home()
		r.notices = []NoticeMessage{{To: To{Method: methodSMS, Address: mobile, Country: "GB", Pseudonym: "p1"}, Kind: NoticeUnlocked, Workstation: "ward-7", At: asked},
			{To: To{Method: methodEmail, Address: sam, Pseudonym: "p2"}, Kind: NoticeUnlocked, At: asked}}
		w.start(r)
		w.notice(NoticeUnlocked)
		w.wantKinds(slices.Repeat([]river.EventKind{river.EventKindJobCompleted}, 3)...)
		var got []string
		for _, m := range w.records() {
			got = append(got, m.Kind+" "+m.Method+" "+m.Address+" "+string(m.State)+" "+m.Provider)
		}
		slices.Sort(got)
		if want := []string{"unlocked email p2 sent folder", "unlocked sms p1 sent one"}; !slices.Equal(got, want) {
			t.Errorf("%q", got)
		}
		if got := g.messages(); len(got) != 1 || !strings.Contains(got[0].Body, "your smartcard was unlocked at ward-7") {
			t.Errorf("%+v", got)
		}
	})
}

func contactOf() api.Contact {
	return api.Contact{Name: "Registration Authority", Phone: "020 7946 0000"}
}
