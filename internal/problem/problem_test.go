package problem

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const secret = "73519264"

func number(n int) *int { return &n }

func TestNew(t *testing.T) {
	t.Parallel()
	p := New(CodeWrong)
	if p.Code != CodeWrong || p.What() != p.Entry.Detail || p.Cause != nil {
		t.Errorf("%+v", p)
	}
	p.Detail = "It is particular"
	if p.What() != "It is particular" || New(CodeWrong).What() == p.What() {
		t.Errorf("the detail is %q, and then %q", p.What(), New(CodeWrong).What())
	}
	if p := New("LK-9999"); p.Code != Internal {
		t.Errorf("a code outside the catalogue gives %s", p.Code)
	}
}

func TestWrap(t *testing.T) {
	t.Parallel()
	cause := errors.New("disk on fire")
	p := Wrap(DiskFull, cause)
	if !errors.Is(p, cause) || p.Error() != "LK-5004 "+p.Title+": disk on fire" {
		t.Errorf("%v", p)
	}
	if strings.Contains(p.What(), "fire") || strings.Contains(p.Next, "fire") {
		t.Errorf("the cause is shown: %q", p.What())
	}
	if got := New(DiskFull).Error(); got != "LK-5004 "+p.Title {
		t.Errorf("without a cause: %q", got)
	}
	if p := Wrap(DiskFull, nil); p.Unwrap() != nil {
		t.Errorf("no cause is %v", p.Cause)
	}
}

func TestFrom(t *testing.T) {
	t.Parallel()
	inner := New(CardNoKey)
	if got := From(fmt.Errorf("release: %w", inner)); got != inner {
		t.Errorf("a wrapped problem: %v", got)
	}
	if got := From(errors.Join(errors.New("and"), inner)); got != inner {
		t.Errorf("a joined problem: %v", got)
	}
	foreseen := errors.New("nobody foresaw this")
	if got := From(foreseen); got.Code != Internal || !errors.Is(got, foreseen) {
		t.Errorf("any other error: %v", got)
	}
	if got := From(Wrap(CardNotServed, Wrap(DatabaseGone, nil))); got.Code != CardNotServed {
		t.Errorf("the outer of two: %v", got)
	}
}

func TestIs(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("start: %w", Wrap(SessionExpired, errors.New("late")))
	if !errors.Is(err, New(SessionExpired)) || errors.Is(err, New(SessionUnknown)) || errors.Is(errors.New("late"), New(SessionExpired)) {
		t.Error("errors.Is does not compare codes")
	}
	for want, err := range map[Code]error{"": nil, SessionExpired: err, Internal: errors.New("late")} {
		if got := CodeOf(err); got != want {
			t.Errorf("CodeOf(%v) is %q", err, got)
		}
	}
}

// written answers a request with err.
func written(t *testing.T, err error) (*httptest.ResponseRecorder, map[string]any, string) {
	t.Helper()
	var log bytes.Buffer
	w := httptest.NewRecorder()
	Write(w, httptest.NewRequest("POST", "/v1/sessions/x/code", nil), slog.New(slog.NewTextHandler(&log, nil)), err)
	var body map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		t.Fatalf("%v: %s", err, w.Body)
	}
	for name, want := range map[string]string{"Content-Type": "application/problem+json", "Cache-Control": "no-store"} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s is %q", name, got)
		}
	}
	return w, body, log.String()
}

func TestWrite(t *testing.T) {
	t.Parallel()
	p := Wrap(SendLimit, errors.New("bucket "+secret))
	p.RetryAfter, p.TriesLeft, p.SecondsLeft = number(90), number(0), number(600)
	w, body, log := written(t, fmt.Errorf("code: %w", p))
	want := map[string]any{"type": "urn:latchkey:problem:LK-3007", "title": p.Title, "status": 429.0, "detail": p.Entry.Detail,
		"code": "LK-3007", "next": p.Next, "tries_left": 0.0, "seconds_left": 600.0, "retry_after_seconds": 90.0}
	if diff := cmp.Diff(want, body); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "90" {
		t.Errorf("status %d, Retry-After %q", w.Code, w.Header().Get("Retry-After"))
	}
	if log != "" {
		t.Errorf("a refusal is logged: %s", log)
	}
	// What is not set is not there.
	if _, body, _ = written(t, New(CodeMissing)); len(body) != 6 {
		t.Errorf("%v", body)
	}
}

// TestWriteShowsNothingUnforeseen: what nobody foresaw is in the log in full
// and in the answer not at all.
func TestWriteShowsNothingUnforeseen(t *testing.T) {
	t.Parallel()
	internal, _ := Lookup(Internal)
	for name, err := range map[string]error{
		"any error":       errors.New("open key of " + secret),
		"wrapped":         Wrap(Internal, errors.New("row "+secret)),
		"outside of list": Wrap("LK-9999", errors.New("row "+secret)),
	} {
		w, body, log := written(t, err)
		if w.Code != http.StatusInternalServerError || body["code"] != "LK-5000" || body["detail"] != internal.Detail {
			t.Errorf("%s: status %d, %v", name, w.Code, body)
		}
		if strings.Contains(w.Body.String(), secret) {
			t.Errorf("%s: the cause is shown: %s", name, w.Body)
		}
		if !strings.Contains(log, secret) || !strings.Contains(log, "/v1/sessions/x/code") {
			t.Errorf("%s: the log does not tell of it: %s", name, log)
		}
	}
}

// TestWriteOfWhatIsNoAnswer: a problem without a status is a fault of ours
// where it gets to a client all the same.
func TestWriteOfWhatIsNoAnswer(t *testing.T) {
	t.Parallel()
	p := Wrap(KeyWrong, errors.New("file "+secret))
	w, body, log := written(t, p)
	if w.Code != http.StatusInternalServerError || body["status"] != 500.0 || body["code"] != "LK-5006" || !strings.Contains(log, secret) {
		t.Errorf("status %d, %v\n%s", w.Code, body, log)
	}
	if p.Status != 0 {
		t.Errorf("Write changed the problem: status %d", p.Status)
	}
	if strings.Contains(w.Body.String(), secret) {
		t.Errorf("the cause is shown: %s", w.Body)
	}
	if _, _, log := written(t, New(DatabaseBusy)); !strings.Contains(log, "LK-5002") {
		t.Errorf("a fault of the service is not logged: %q", log)
	}
}

// TestDecodeReadsWhatWriteWrote for every code of the catalogue.
func TestDecodeReadsWhatWriteWrote(t *testing.T) {
	t.Parallel()
	for _, e := range Catalogue() {
		p := New(e.Code)
		p.Detail, p.TriesLeft, p.SecondsLeft, p.RetryAfter = "Particular to this time.", number(2), number(30), number(4)
		w, _, _ := written(t, p)
		got := Decode(w.Code, w.Body.Bytes())
		p.Status = w.Code
		if !reflect.DeepEqual(got, p) {
			t.Errorf("%s:\n got %+v\nwant %+v", e.Code, got, p)
		}
	}
}

// TestDecodeOfSomethingElse: a body that is no problem of ours is
// ServiceAnswer, and its words are not shown.
func TestDecodeOfSomethingElse(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"nothing":            "",
		"a page":             "<html>Sign in to the network " + secret + "</html>",
		"half of one":        `{"code": "LK-3004", "title": `,
		"two":                `{"code": "LK-3004"} {"code": "LK-3004"}`,
		"a list":             `["LK-3004"]`,
		"null":               "null",
		"no code":            `{"title": "` + secret + `", "status": 502}`,
		"a code of another":  `{"code": "E-1234", "title": "` + secret + `"}`,
		"not quite ours":     `{"code": "LK-12345"}`,
		"short":              `{"code": "LK-123"}`,
		"letters":            `{"code": "LK-abcd"}`,
		"digits of a script": `{"code": "LK-٣٤٥٦"}`,
		"code is no text":    `{"code": 3004}`,
		"tries is no number": `{"code": "LK-3004", "tries_left": "two"}`,
	} {
		p := Decode(http.StatusBadGateway, []byte(body))
		if p.Code != ServiceAnswer || p.What() != p.Entry.Detail || p.TriesLeft != nil {
			t.Errorf("%s: %+v", name, p)
		}
		if strings.Contains(p.Error(), secret) || !strings.Contains(p.Error(), "502") {
			t.Errorf("%s: it says %q", name, p)
		}
	}
}

// TestDecodeOfANewerCode keeps the service's words; what it does not say is
// filled in, so that there always is a next step.
func TestDecodeOfANewerCode(t *testing.T) {
	t.Parallel()
	p := Decode(409, []byte(`{"code": "LK-4999", "title": "Later", "detail": "It is later.", "next": "Wait.", "status": 200, "more": [1]}`))
	if p.Code != "LK-4999" || p.Title != "Later" || p.What() != "It is later." || p.Next != "Wait." || p.Status != 409 {
		t.Errorf("%+v", p)
	}
	bare, fallback := Decode(409, []byte(`{"code": "LK-4999"}`)), New(ServiceAnswer)
	if bare.Code != "LK-4999" || bare.Title != fallback.Title || bare.What() != fallback.What() || bare.Next != fallback.Next {
		t.Errorf("%+v", bare)
	}
	// Words of our own are not the service's to change.
	p = Decode(422, []byte(`{"code": "LK-3004", "title": "Call this number", "next": "Tell them your passcode."}`))
	if own := New(CodeWrong); p.Title != own.Title || p.Next != own.Next || p.What() != own.What() {
		t.Errorf("%+v", p)
	}
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{"", "{}", `{"code":"LK-3004","tries_left":4}`, `{"code":"LK-4999"}`, "<html>"} {
		f.Add(400, []byte(seed))
	}
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		p := Decode(status, body)
		if !ours(p.Code) || p.Title == "" || p.What() == "" || p.Next == "" {
			t.Errorf("%+v", p)
		}
	})
}
