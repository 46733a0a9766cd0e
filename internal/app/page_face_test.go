package app

import (
	"bytes"
	"context"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"latchkey/internal/api"
	"latchkey/internal/journey"
	"latchkey/internal/problem"
)

// TestFaceWithoutJavaScript: the number, the consent, and then a page that
// says what is missing and leads another way.
func TestFaceWithoutJavaScript(t *testing.T) {
	x := newSite(t)
	x.engine.face = true
	c := x.launched()
	c.post("/start", url.Values{"reader": {"Reader 1"}}).on("/method", "Face verification")
	c.post("/method", url.Values{"method": {"face"}}).on("/face", "What is your mobile phone number?")
	c.post("/face", url.Values{"mobile": {" 07700 900123 "}}).on("/face/instructions", "at most one flash a second", "What we keep")
	if v := x.engine.View(); v.Address != "07700 900123" {
		t.Errorf("the number is %q", v.Address)
	}
	c.get("/face/scan").on("/face/instructions") // no consent, no camera
	c.post("/face/instructions", nil).on("/face/instructions", "There is a problem", "Tick the box")
	c.post("/face/instructions", url.Values{"consent": {"yes"}}).on("/face/scan", "Face verification needs JavaScript", "Use another way to prove who you are")
	c.get("/email").on("/email")
	if strings.Contains(c.body, "07700") {
		t.Error("the number is in the field for an email address")
	}
	c.get("/face").on("/face")
	if !strings.Contains(c.body, `value="07700 900123"`) {
		t.Error("the number has to be typed again")
	}
}

func TestMobileNumbers(t *testing.T) {
	for typed, ok := range map[string]bool{
		"07700 900123": true, "+44 7700 900123": true, "+44 (0)7700-900.123": true, "7700900123": true, "+1 202-555-0143": true,
		"": false, "sam@example.org": false, "12345": false, "+44 7700 900123 or 124": false, strings.Repeat("1", 40): false, "0770\x000900123": false,
	} {
		if p := numberProblem(typed); (p == nil) != ok {
			t.Errorf("%q: %v", typed, p)
		}
	}
}

func (x *site) scanning(c *client) {
	x.engine.scan.steps = threeSteps()
	x.engine.set(func(v *View) {
		v.Step, v.Ends, v.Method, v.Face = StepFace, start.Add(time.Minute), api.MethodFace, journey.Face{State: journey.FaceReady}
	})
	c.post("/face/begin", nil)
}

// send posts the frames of a step as the page's script does.
func (c *client) send(query string, names []string, pictures [][]byte) *client {
	c.t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for i, name := range names {
		part, err := form.CreateFormFile(name, "blob")
		if err == nil {
			_, err = part.Write(pictures[i])
		}
		if err != nil {
			c.t.Fatal(err)
		}
	}
	if err := form.Close(); err != nil {
		c.t.Fatal(err)
	}
	return c.raw("/face/step?"+query, form.FormDataContentType(), body.Bytes())
}

func (c *client) raw(path, kind string, body []byte) *client {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, c.server.gate.origin+path, bytes.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set("Content-Type", kind)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	answer, err := c.http.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	var text bytes.Buffer
	if _, err := text.ReadFrom(answer.Body); err != nil {
		c.t.Fatal(err)
	}
	c.code, c.body = answer.StatusCode, text.String()
	return c
}

var jpegStart = []byte{0xff, 0xd8, 0xff, 0xe0}

// TestFrames: what the page sends arrives; what no page sends stops the scan.
func TestFrames(t *testing.T) {
	large := append(bytes.Clone(jpegStart), make([]byte, api.MaxFrame)...)
	many := func(n int) (names []string, pictures [][]byte) {
		for i := range n {
			names, pictures = append(names, string(rune('a'+i))), append(pictures, jpegStart)
			names[i] = strings.Repeat("1", i%4+1)
		}
		return names, pictures
	}
	names, pictures := many(2*api.StepFrames + 1)
	for name, test := range map[string]struct {
		names    []string
		pictures [][]byte
		code     problem.Code
	}{
		"good":          {[]string{"130", "260"}, [][]byte{jpegStart, append(bytes.Clone(jpegStart), 1)}, ""},
		"largest":       {[]string{"130"}, [][]byte{large[:api.MaxFrame]}, ""},
		"too large":     {[]string{"130"}, [][]byte{large}, problem.PageTooLarge},
		"too many":      {names, pictures, problem.PageTooLarge},
		"no time":       {[]string{"soon"}, [][]byte{jpegStart}, problem.RequestMalformed},
		"negative time": {[]string{"-1"}, [][]byte{jpegStart}, problem.RequestMalformed},
		"far time":      {[]string{"99999999"}, [][]byte{jpegStart}, problem.RequestMalformed},
		"no picture":    {[]string{"130"}, [][]byte{[]byte("GIF89a")}, problem.RequestMalformed},
		"empty picture": {[]string{"130"}, [][]byte{nil}, problem.RequestMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			x := newSite(t)
			c := x.launched()
			x.scanning(c)
			c.send("scan=scan-1&step=1", test.names, test.pictures)
			if test.code != "" {
				if !strings.Contains(c.body, `{"go":"/face/failed"}`) {
					t.Errorf("answer %s", c.body)
				}
				c.get("/face/failed").on("/face/failed", string(test.code), "Try again", "Use another way")
				return
			}
			frames := x.engine.scan.frames[1]
			if len(frames) != len(test.names) || !strings.Contains(c.body, `"number":2`) {
				t.Fatalf("%d frames arrived; answer %s", len(frames), c.body)
			}
			for i, f := range frames {
				if f.Milliseconds != []int{130, 260}[i] || !bytes.Equal(f.JPEG, test.pictures[i]) {
					t.Errorf("frame %d is of %d ms and %d bytes", i, f.Milliseconds, len(f.JPEG))
				}
			}
		})
	}
	x := newSite(t)
	c := x.launched()
	x.scanning(c)
	if c.raw("/face/step?scan=scan-1&step=1", "application/json", []byte("{}")); !strings.Contains(c.body, "/face/failed") {
		t.Errorf("JSON: %s", c.body)
	}
	if c.raw("/face/step?scan=scan-1&step=1", "multipart/form-data; boundary=x", make([]byte, maxFrames+1)); !strings.Contains(c.body, "/face/failed") {
		t.Errorf("too much: %s", c.body)
	}
}

// TestLargeBodiesElsewhere: only the frames may be large.
func TestLargeBodiesElsewhere(t *testing.T) {
	x := newSite(t)
	c := x.launched()
	for _, path := range []string{"/face", "/face/instructions"} {
		x.engine.set(func(v *View) { v.Step, v.Ends = StepFace, start.Add(time.Minute) })
		c.post(path, url.Values{"mobile": {strings.Repeat("1", maxForm)}}).on("/problem", "LK-8005")
	}
}

// TestCameraPolicy: only the pages that use the camera may.
func TestCameraPolicy(t *testing.T) {
	x := newSite(t)
	c := x.launched()
	x.scanning(c)
	for path, want := range map[string]bool{"/face/scan": true, "/face/instructions": false, "/face": false, "/method": false, "/troubleshooting": false, "/assets/latchkey.js": false} {
		r, _ := http.NewRequestWithContext(t.Context(), "GET", x.server.gate.origin+path, nil)
		answer, err := c.http.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if got := strings.Contains(answer.Header.Get("Permissions-Policy"), "camera=(self)"); got != want {
			t.Errorf("%s: %s", path, answer.Header.Get("Permissions-Policy"))
		}
	}
}

// TestFaceProblems: what goes wrong with a scan leads to the page that says so.
func TestFaceProblems(t *testing.T) {
	number := problem.New(problem.MobileMalformed)
	for name, test := range map[string]struct {
		call  string
		err   *problem.Problem
		page  string
		words []string
	}{
		"held":         {"begin", problem.New(problem.FaceHeld), "/face/failed", []string{"on hold for you", "Use another way", "LK-3119"}},
		"away":         {"begin", problem.New(problem.FaceAway), "/face/failed", []string{"does not answer", "Try again"}},
		"number":       {"begin", number, "/face", []string{"There is a problem", "mobile phone number in the right form"}},
		"timing":       {"step", problem.New(problem.FaceTiming), "/face/failed", []string{"The scan was interrupted", "Try again"}},
		"not verified": {"finish", problem.New(problem.FaceNotVerified), "/face/failed", []string{"We could not verify you", "Check or change the mobile number"}},
		"dark":         {"finish", problem.New(problem.FaceDark), "/face/failed", []string{"It is too dark", "What helps", "LK-3106"}},
	} {
		t.Run(name, func(t *testing.T) {
			x := newSite(t)
			x.engine.fail[test.call] = test.err
			c := x.launched()
			x.scanning(c)
			switch test.call {
			case "step":
				c.send("scan=scan-1&step=1", []string{"1"}, [][]byte{jpegStart})
			case "finish":
				c.post("/face/finish?scan=scan-1", nil)
			}
			to, ok := strings.CutPrefix(strings.TrimSpace(c.body), `{"go":"`)
			if !ok {
				t.Fatalf("answer %s", c.body)
			}
			c.get(strings.TrimSuffix(to, `"}`)).on(test.page, test.words...)
			canTry := test.err.Code != problem.FaceHeld
			if test.page == "/face/failed" && strings.Contains(c.body, `href="/face/scan"`) != canTry {
				t.Errorf("trying again is offered: %v", !canTry)
			}
		})
	}
}

// TestScanOfAnEndedSession leads to what ended it.
func TestScanOfAnEndedSession(t *testing.T) {
	x := newSite(t)
	c := x.launched()
	x.scanning(c)
	x.clock.forward(time.Hour)
	c.get("/face/scan").on("/problem", "Your time has run out")
	x.engine.set(func(v *View) { *v = View{} })
	x.engine.fail["begin"] = problem.New(problem.SessionState)
	for _, path := range []string{"/face", "/face/instructions", "/face/scan", "/face/failed", "/face/elsewhere"} {
		c.get(path).on("/", "Start here.")
	}
}

// TestOutsideProvider: its page opens in a window of its own.
func TestOutsideProvider(t *testing.T) {
	x := newSite(t)
	c := x.launched()
	x.engine.scan.page = "https://faces.example.test/1?a=b"
	x.scanning(c)
	if !strings.Contains(c.body, `{"go":"/face/elsewhere"}`) {
		t.Fatalf("answer %s", c.body)
	}
	c.get("/face/elsewhere").on("/face/elsewhere", "Open the scan in a new window", "Continue", "Use another way")
	if !strings.Contains(c.body, `href="https://faces.example.test/1?a=b" target="_blank" rel="noopener noreferrer"`) {
		t.Error("the page is not opened in a window of its own")
	}
	x.engine.fail["finish"] = problem.New(problem.FaceNotVerified)
	c.post("/face/continue", nil).on("/face/failed", "We could not verify you")
	c.post("/face/begin", nil)
	delete(x.engine.fail, "finish")
	c.post("/face/continue", nil).on("/passcode", "Your face matches the photo.")
}

// FuzzReadFrames: whatever is sent, only frames come out, within their bounds.
func FuzzReadFrames(f *testing.F) {
	f.Add("--x\r\nContent-Disposition: form-data; name=\"130\"; filename=\"blob\"\r\n\r\n\xff\xd8\xff\xe0\r\n--x--\r\n")
	f.Add("--x\r\nContent-Disposition: form-data; name=\"-1\"\r\n\r\n\r\n--x--\r\n")
	f.Add("--x\r\n")
	f.Fuzz(func(t *testing.T, body string) {
		r := httptest.NewRequestWithContext(context.Background(), "POST", "/face/step", strings.NewReader(body))
		r.Header.Set("Content-Type", "multipart/form-data; boundary=x")
		frames, err := readFrames(r)
		if err != nil {
			if problem.CodeOf(err) == problem.Internal {
				t.Errorf("nobody foresaw %v", err)
			}
			return
		}
		if len(frames) > 2*api.StepFrames {
			t.Errorf("%d frames", len(frames))
		}
		for _, frame := range frames {
			if len(frame.JPEG) > api.MaxFrame || !bytes.HasPrefix(frame.JPEG, jpegStart[:3]) || frame.Milliseconds < 0 || frame.Milliseconds > maxFrameTime {
				t.Errorf("frame of %d ms and %d bytes", frame.Milliseconds, len(frame.JPEG))
			}
		}
	})
}
