package app

import (
	"bytes"
	"context"
	"image"
	"image/color"
	"image/jpeg"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"latchkey/internal/api"
	"latchkey/internal/app/browsertest"
	"latchkey/internal/journey"
	"latchkey/internal/problem"
)

// portrait is a picture that the light of a screen can fall on.
func portrait(t *testing.T) []byte {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, 640, 480))
	for y := range 480 {
		for x := range 640 {
			c := color.RGBA{120, 125, 130, 255}
			dx, dy := float64(x-320)/110, float64(y-235)/150
			switch {
			case dx*dx+dy*dy < 1 && (x/9+y/9)%2 == 0:
				c = color.RGBA{205, 165, 145, 255}
			case dx*dx+dy*dy < 1:
				c = color.RGBA{180, 140, 120, 255}
			}
			img.SetRGBA(x, y, c)
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func liveCamera(t *testing.T) browsertest.Camera {
	c := browsertest.Camera{Picture: portrait(t), Gain: 0.08, Lag: 100, Noise: 2}
	c.Face.X, c.Face.Y, c.Face.W, c.Face.H = 0.33, 0.18, 0.34, 0.62
	return c
}

// faceSite is the pages with face verification on offer, and a tab whose
// pages have a camera.
func faceSite(t *testing.T, camera browsertest.Camera) (*site, context.Context) {
	t.Helper()
	x := newBrowserSite(t)
	x.engine.face, x.engine.scan.steps = true, threeSteps()
	tab := browsertest.Start(t)
	browsertest.Do(t, tab, camera.Install(), chromedp.Navigate(x.server.gate.launchAddress()))
	browsertest.WaitText(t, tab, "Your smartcard is locked")
	return x, tab
}

func readyToScan() View {
	return atWith(StepFace, func(v *View) {
		v.Method, v.Address, v.Face = api.MethodFace, "07700 900123", journey.Face{State: journey.FaceReady}
		v.Methods[2] = api.MethodStatus{Method: api.MethodFace, Available: true}
	})
}

// onScanPage opens the scan page with the camera on.
func onScanPage(t *testing.T, camera browsertest.Camera) (*site, context.Context) {
	t.Helper()
	x, tab := faceSite(t, camera)
	x.engine.set(func(v *View) { *v = readyToScan() })
	browsertest.Do(t, tab, chromedp.Navigate(x.server.gate.origin+"/face/scan"))
	return x, tab
}

// TestFaceByKeyboard goes from the choice of a method to the new passcode
// without a mouse, and looks at what the service would get.
func TestFaceByKeyboard(t *testing.T) {
	x, tab := faceSite(t, liveCamera(t))
	complaints := browsertest.Complaints(tab)
	browsertest.Do(t, tab, press(kb.Tab))
	focus(t, tab, `form[action="/start"] button`)
	browsertest.Do(t, tab, press(kb.Enter))
	browsertest.WaitText(t, tab, "How do you want to prove who you are?")
	focus(t, tab, "#method")
	browsertest.Do(t, tab, press(kb.ArrowUp)) // from the first to the last that can be chosen
	browsertest.Do(t, tab, press(kb.Enter))
	browsertest.WaitText(t, tab, "What is your mobile phone number?")
	focus(t, tab, "#mobile")
	browsertest.Do(t, tab, press("07700 900123"), press(kb.Enter))
	browsertest.WaitText(t, tab, "Before you scan your face")
	focus(t, tab, `form[action="/face/instructions"] button`)
	browsertest.Do(t, tab, press(kb.Enter))
	browsertest.WaitText(t, tab, "There is a problem") // no consent, no camera
	focus(t, tab, "#consent")
	browsertest.Do(t, tab, press(" "), press(kb.Enter))
	browsertest.WaitText(t, tab, "Keep your face in the oval and choose Start.")
	browsertest.Get(t, tab, chromedp.Poll[bool](`document.activeElement.matches("[data-start]")`))
	browsertest.Do(t, tab, press(kb.Enter))
	browsertest.Get(t, tab, chromedp.Poll[bool](`document.querySelector("[data-scan]").open`))
	picture(t, tab, "face-countdown")
	browsertest.Get(t, tab, chromedp.Poll[bool](`!document.querySelector("[data-arrow]").hidden`))
	browsertest.WaitText(t, tab, "Choose a new passcode")
	browsertest.WaitText(t, tab, "Your face matches the photo.")
	if c := complaints(); len(c) > 0 {
		t.Errorf("the console says %v", c)
	}
	for number, step := range threeSteps() {
		frames := x.engine.scan.frames[number+1]
		want := picturesOfAColour
		if step.Turn != "" {
			want = 2 * api.StepFrames
		}
		if len(frames) < want/2 || len(frames) > want { // a busy machine's camera is slow
			t.Errorf("step %d has %d frames, want %d", number+1, len(frames), want)
		}
		last := -1
		for _, f := range frames {
			c, err := jpeg.DecodeConfig(bytes.NewReader(f.JPEG))
			if err != nil || c.Width != 640 || c.Height != 480 || f.Milliseconds <= last || f.Milliseconds > step.Milliseconds+1000 {
				t.Errorf("step %d: a frame of %d by %d at %d ms after %d ms (%v)", number+1, c.Width, c.Height, f.Milliseconds, last, err)
			}
			last = f.Milliseconds
		}
	}
	if red, green := mean(t, x.engine.scan.frames[1]), mean(t, x.engine.scan.frames[3]); red[0]-green[0] < 2 || green[1]-red[1] < 2 {
		t.Errorf("the pictures do not show the screen's light: %v in red, %v in green", red, green)
	}
}

// picturesOfAColour is what the page's script takes in one colour.
const picturesOfAColour = 4

// mean is the colour of the face in the last frame of a step.
func mean(t *testing.T, frames []api.FaceFrame) (sum [3]float64) {
	t.Helper()
	img, err := jpeg.Decode(bytes.NewReader(frames[len(frames)-1].JPEG))
	if err != nil {
		t.Fatal(err)
	}
	for y := 180; y < 300; y++ {
		for x := 270; x < 370; x++ {
			r, g, b, _ := img.At(x, y).RGBA()
			for i, v := range []uint32{r, g, b} {
				sum[i] += float64(v>>8) / (120 * 100)
			}
		}
	}
	return sum
}

// TestCameraFaults: each thing that can be the matter with a camera has its
// words, its code and a way on.
func TestCameraFaults(t *testing.T) {
	for name, code := range map[string]problem.Code{
		"NotFoundError": problem.CameraMissing, "NotAllowedError": problem.CameraRefused, "NotReadableError": problem.CameraBusy,
		"OverconstrainedError": problem.CameraMissing, "TypeError": problem.CameraCannot,
	} {
		camera := liveCamera(t)
		camera.Fault = name
		_, tab := onScanPage(t, camera)
		browsertest.WaitText(t, tab, problem.New(code).Title)
		browsertest.WaitText(t, tab, string(code))
		browsertest.WaitText(t, tab, "Use another way to prove who you are")
		browsertest.CheckAccessibility(t, tab, "camera "+name)
		if name == "NotAllowedError" {
			picture(t, tab, "face-camera-refused")
		}
		// It is put right, and tried again from the keyboard.
		browsertest.Get(t, tab, chromedp.Evaluate[bool](`(simulatedCamera.options.fault = "", true)`))
		focus(t, tab, "[data-again]")
		browsertest.Do(t, tab, press(kb.Enter))
		browsertest.WaitText(t, tab, "Keep your face in the oval and choose Start.")
	}
}

// TestScanThatIsStopped: by the person, by the Escape key, by the window that
// is hidden, by the camera itself. The camera is off, the page says why, the
// application has heard of it, and the next try goes through.
func TestScanThatIsStopped(t *testing.T) {
	for name, test := range map[string]struct {
		stop string
		code problem.Code
	}{
		"button": {`document.querySelector("[data-stop]").click()`, problem.ScanStopped},
		"escape": {"", problem.ScanStopped},
		"hidden": {hide, problem.ScanHidden},
		"camera": {`simulatedCamera.tracks.forEach(t => { t.stop(); t.dispatchEvent(new Event("ended")) })`, problem.CameraStopped},
	} {
		t.Run(name, func(t *testing.T) {
			x, tab := onScanPage(t, liveCamera(t))
			browsertest.WaitText(t, tab, "Keep your face in the oval and choose Start.")
			begun := x.engine.Changed()
			browsertest.Do(t, tab, chromedp.Click(chromedp.CSS("[data-start]")))
			<-begun // the scan has begun
			if test.stop == "" {
				browsertest.Do(t, tab, press(kb.Escape))
			} else {
				browsertest.Get(t, tab, chromedp.Evaluate[bool](`(`+test.stop+`, true)`))
			}
			browsertest.Get(t, tab, chromedp.Poll[bool](`!document.querySelector("[data-scan]").open`))
			browsertest.WaitText(t, tab, problem.New(test.code).Title)
			browsertest.CameraOff(t, tab)
			await(t, x, func(v View) bool { return v.Face.Problem != nil && v.Face.Problem.Code == test.code })
			if name == "hidden" {
				browsertest.Get(t, tab, chromedp.Evaluate[bool](`(`+unhide+`, true)`))
			}
			browsertest.Do(t, tab, chromedp.Click(chromedp.CSS("[data-again]")))
			browsertest.WaitText(t, tab, "Keep your face in the oval and choose Start.")
			browsertest.Do(t, tab, chromedp.Click(chromedp.CSS("[data-start]")))
			browsertest.WaitText(t, tab, "Choose a new passcode")
		})
	}
}

// What a page sees of a window that is put behind another one.
const (
	hide   = `(Object.defineProperty(document, "hidden", {value: true, configurable: true}), document.dispatchEvent(new Event("visibilitychange")))`
	unhide = `delete document.hidden`
)

// await waits until the view of the fake engine fits.
func await(t *testing.T, x *site, fits func(v View) bool) {
	t.Helper()
	late := time.After(30 * time.Second)
	for {
		changed := x.engine.Changed()
		if fits(x.engine.View()) {
			return
		}
		select {
		case <-changed:
		case <-late:
			t.Fatalf("waited in vain: %+v", x.engine.View())
		}
	}
}

// TestCameraIsOffAfterwards: on the way to another page, and after the scan
// before anything else is waited for.
func TestCameraIsOffAfterwards(t *testing.T) {
	x, tab := onScanPage(t, liveCamera(t))
	off := make(chan bool, 1)
	x.engine.scan.decide = func(map[int][]api.FaceFrame) error {
		off <- browsertest.Get(t, tab, chromedp.Evaluate[bool](`simulatedCamera.opened > 0 && simulatedCamera.tracks.every(t => t.readyState === "ended")`))
		return problem.New(problem.CameraDark)
	}
	browsertest.WaitText(t, tab, "Keep your face in the oval and choose Start.")
	browsertest.Do(t, tab, chromedp.Click(chromedp.CSS("[data-start]")))
	if !<-off {
		t.Error("the camera was on while the scan was decided")
	}
	browsertest.WaitText(t, tab, problem.New(problem.CameraDark).Title)
	browsertest.Do(t, tab, chromedp.Click(chromedp.CSS(`main a[href="/face/scan"]`)))
	browsertest.WaitText(t, tab, "Keep your face in the oval and choose Start.")
	// The tracks outlive the page's own variables here.
	browsertest.Get(t, tab, chromedp.Evaluate[bool](`(addEventListener("pagehide", () => sessionStorage.off = simulatedCamera.tracks.every(t => t.readyState === "ended")), true)`))
	browsertest.Do(t, tab, chromedp.Click(chromedp.CSS(`main p a[href="/method"]`)))
	browsertest.WaitText(t, tab, "How do you want to prove who you are?")
	if !browsertest.Get(t, tab, chromedp.Evaluate[bool](`sessionStorage.off === "true"`)) {
		t.Error("the camera was on when the page was left")
	}
}

// TestHiddenBeforeTheScan: a camera that nobody looks at is off.
func TestHiddenBeforeTheScan(t *testing.T) {
	x, tab := onScanPage(t, liveCamera(t))
	browsertest.WaitText(t, tab, "Keep your face in the oval and choose Start.")
	browsertest.Get(t, tab, chromedp.Evaluate[bool](`(`+hide+`, true)`))
	browsertest.WaitText(t, tab, problem.New(problem.ScanHidden).Title)
	browsertest.CameraOff(t, tab)
	if len(x.engine.calls) > 0 {
		t.Errorf("the engine was asked: %v", x.engine.calls)
	}
}

// TestCoaching says what to change about a picture, in words.
func TestCoaching(t *testing.T) {
	_, tab := onScanPage(t, liveCamera(t))
	browsertest.WaitText(t, tab, "Keep your face in the oval and choose Start.")
	for seen, words := range map[string]string{
		`{most: 10, face: 2, around: 2, bright: 0, moved: 0, sharp: 0}`:      "The picture is black.",
		`{most: 200, face: 40, around: 40, bright: 0, moved: 0, sharp: 9}`:   "It is too dark.",
		`{most: 255, face: 50, around: 180, bright: 0, moved: 0, sharp: 9}`:  "The light is behind you.",
		`{most: 255, face: 90, around: 200, bright: 0, moved: 0, sharp: 9}`:  "The light is behind you.",
		`{most: 255, face: 220, around: 90, bright: .5, moved: 0, sharp: 9}`: "It is too bright.",
		`{most: 255, face: 120, around: 90, bright: 0, moved: 40, sharp: 9}`: "Hold still.",
		`{most: 255, face: 120, around: 90, bright: 0, moved: 1, sharp: 1}`:  "The picture is not sharp.",
	} {
		got := browsertest.Get(t, tab, chromedp.Evaluate[string](`import("/assets/camera/device.js").then(m => m.advice(`+seen+`))`, chromedp.EvalAwaitPromise))
		if !strings.HasPrefix(got, words) {
			t.Errorf("%s: %q, want %q", seen, got, words)
		}
	}
	// It is read aloud once, from a region of its own, when it has stayed so.
	browsertest.Get(t, tab, chromedp.Poll[bool](`document.querySelector("[data-coach-said]").textContent.startsWith("Good.")`))
	if browsertest.Get(t, tab, chromedp.Evaluate[bool](`document.querySelector("[data-coach]").hasAttribute("aria-live")`)) {
		t.Error("every change of the coaching is read aloud")
	}
}

// TestScanPages looks at the pages that need a camera, and at the scan itself
// while it turns and while it shines.
func TestScanPages(t *testing.T) {
	x, tab := onScanPage(t, liveCamera(t))
	complaints := browsertest.Complaints(tab)
	browsertest.WaitText(t, tab, "Keep your face in the oval and choose Start.")
	browsertest.CheckAccessibility(t, tab, "scan, ready")
	for _, fault := range browsertest.Get(t, tab, chromedp.Evaluate[[]string](inspection)) {
		t.Errorf("scan, ready: %s", fault)
	}
	picture(t, tab, "face-scan")
	for i, step := range threeSteps() {
		step.Milliseconds, step.Number = 10_000, 1
		x.engine.scan.steps = []api.FaceStep{step}
		browsertest.Do(t, tab, chromedp.EmulateViewport(1280, 900))
		browsertest.Do(t, tab, chromedp.Click(chromedp.CSS("[data-start]")))
		want := "Look straight at the screen."
		if step.Turn != "" {
			want = "Turn your head a little to the left."
		}
		browsertest.WaitText(t, tab, want)
		browsertest.CheckAccessibility(t, tab, "scan, "+step.Colour)
		picture(t, tab, "face-scan-"+string(rune('1'+i)))
		browsertest.Do(t, tab, press(kb.Escape))
		browsertest.WaitText(t, tab, problem.New(problem.ScanStopped).Title)
		browsertest.Do(t, tab, chromedp.Click(chromedp.CSS("[data-again]")))
		browsertest.WaitText(t, tab, "Keep your face in the oval and choose Start.")
	}
	if c := complaints(); len(c) > 0 {
		t.Errorf("the console says %v", c)
	}
}
