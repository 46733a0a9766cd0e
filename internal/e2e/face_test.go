package e2e

import (
	"bytes"
	"context"
	"image"
	"image/color"
	"image/jpeg"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"latchkey/internal/app/browsertest"
	"latchkey/internal/card/pcsctest"
	"latchkey/internal/face/facetest"
	"latchkey/internal/problem"
)

const mobile = "07700 900123"

// giveMobile puts the holder's mobile number on record.
func (w *world) giveMobile() {
	w.t.Helper()
	holders := filepath.Join(w.folder, "mobile.csv")
	if err := os.WriteFile(holders, []byte("staff_number,name,mobile\n1001,Sam Taylor,"+mobile+"\n"), 0o600); err != nil {
		w.t.Fatal(err)
	}
	w.must("", "latchkeyd", "import", "cardholders", holders)
}

// newFaceWorld is an installation that offers face verification to a holder
// with a mobile number and, where photo is one, a profile photo.
func newFaceWorld(t *testing.T, photo []byte) *world {
	t.Helper()
	w := &world{t: t, folder: t.TempDir(), stack: pcsctest.Start(t), settings: []string{"LATCHKEYD_FACE_ENABLED=true"}}
	w.state, w.mail = filepath.Join(w.folder, "card.json"), filepath.Join(w.folder, "mail")
	w.must("", "latchkeyd", "init")
	w.insert("--pin", "246813", "--puk", oldPUK, "--locked")
	w.enrol()
	w.giveMobile()
	if photo != nil {
		photos := filepath.Join(w.folder, "photos")
		if err := os.MkdirAll(photos, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(photos, "1001.jpg"), photo, 0o600); err != nil {
			t.Fatal(err)
		}
		w.must("", "latchkeyd", "face", "enrol", photos)
	}
	w.serve(freeAddress(t))
	return w
}

// pages starts the application and opens its pages in a browser whose camera
// is simulated.
func (w *world) pages(camera browsertest.Camera) context.Context {
	w.t.Helper()
	application := w.start("Latchkey is ready at ", "latchkey", "--no-browser")
	address := regexp.MustCompile(`http://latchkey-\S+`).FindString(application.output.String())
	tab := browsertest.Start(w.t)
	browsertest.Do(w.t, tab, camera.Install(), chromedp.Navigate(address))
	browsertest.WaitText(w.t, tab, "Your smartcard is locked")
	return tab
}

func click(t *testing.T, tab context.Context, css string) {
	t.Helper()
	browsertest.Do(t, tab, chromedp.Click(chromedp.CSS(css)))
}

// toTheScan goes from the start page to the camera.
func toTheScan(t *testing.T, tab context.Context, number string) {
	t.Helper()
	click(t, tab, `form[action="/start"] button`)
	browsertest.WaitText(t, tab, "How do you want to prove who you are?")
	click(t, tab, `input[value="face"]`)
	click(t, tab, `form[action="/method"] button`)
	giveNumber(t, tab, number)
}

func giveNumber(t *testing.T, tab context.Context, number string) {
	t.Helper()
	browsertest.WaitText(t, tab, "What is your mobile phone number?")
	browsertest.Do(t, tab, chromedp.SetValue(chromedp.CSS("#mobile"), number))
	click(t, tab, `form[action="/face"] button`)
	browsertest.WaitText(t, tab, "Before you scan your face")
	click(t, tab, "#consent")
	click(t, tab, `form[action="/face/instructions"] button`)
}

// interrupted is what the page says where this machine, which runs other tests
// too, was too slow for a step of a scan.
var interrupted = problem.New(problem.FaceTiming).Title

// scan has the face scanned once the camera is on. Like a person it tries again
// after an interruption.
func scan(t *testing.T, tab context.Context, words string) {
	t.Helper()
	for range 4 {
		browsertest.WaitText(t, tab, "Fill the oval with your face")
		click(t, tab, "[data-start]")
		said := browsertest.WaitAny(t, tab, words, interrupted)
		if said == words {
			return
		}
		click(t, tab, `main a[href="/face/scan"]`)
	}
	t.Fatal("each scan was interrupted")
}

// again tries with another camera.
func again(t *testing.T, tab context.Context, camera browsertest.Camera, words string) {
	t.Helper()
	browsertest.Do(t, tab, camera.Install())
	click(t, tab, `main a[href="/face/scan"]`)
	scan(t, tab, words)
}

// live is a camera before a person.
func live(t *testing.T, name string) browsertest.Camera {
	f := facetest.Named(t, name)
	return browsertest.Live(f.Frame, f.FrameFound)
}

// TestUnlockWithAFace goes the whole way with the real programs, the real
// models and a real browser: what is not the holder, or cannot be seen, is
// refused with advice, and the holder unlocks the card.
func TestUnlockWithAFace(t *testing.T) {
	holder := facetest.Named(t, "birch")
	w := newFaceWorld(t, holder.Photo)
	tab := w.pages(live(t, "elm"))
	toTheScan(t, tab, mobile)
	scan(t, tab, problem.New(problem.FaceNotVerified).Title) // another person

	wall := live(t, "birch")
	wall.Picture = draw(t, func(x, y int) color.Color { return color.RGBA{uint8(90 + x/10), 120, uint8(90 + y/10), 255} })
	again(t, tab, wall, problem.New(problem.FaceNotSeen).Title)

	two := live(t, "birch")
	two.Picture, two.Turn = sideBySide(t, "birch", "elm"), 0
	again(t, tab, two, problem.New(problem.FaceSeveral).Title)

	photo := live(t, "birch") // of the holder, which does not turn its head and reflects nothing
	photo.Turn, photo.Gain = 0, 0
	browsertest.Do(t, tab, photo.Install())
	click(t, tab, `main a[href="/face/scan"]`)
	scan(t, tab, "What to do next")
	title := browsertest.Get(t, tab, chromedp.Evaluate[string](`document.querySelector("h1").innerText`))
	if title != problem.New(problem.FaceLightWeak).Title && title != problem.New(problem.FaceNoTurn).Title && title != problem.New(problem.FaceNotVerified).Title {
		t.Errorf("of a photo before the camera the page says %q", title)
	}

	// The right face with a number that is not the holder's.
	browsertest.Do(t, tab, live(t, "birch").Install(), chromedp.Navigate(location(t, tab, "/face")))
	giveNumber(t, tab, "07700 900999")
	scan(t, tab, problem.New(problem.FaceNotVerified).Title)

	click(t, tab, `main a[href="/face"]`)
	giveNumber(t, tab, mobile)
	scan(t, tab, "Choose a new passcode")
	browsertest.WaitText(t, tab, "Your face matches the photo.")
	for _, field := range []string{"#passcode", "#again"} {
		browsertest.Do(t, tab, chromedp.SendKeys(chromedp.CSS(field), passcode))
	}
	click(t, tab, `form[action="/passcode"] button[type="submit"]`)
	browsertest.WaitText(t, tab, "Your smartcard is unlocked")
	if c := w.card(); c.PIN != passcode || c.PUK == oldPUK {
		t.Errorf("the card holds %+v", c)
	}

	w.must("", "latchkeyd", "audit", "verify")
	trail := w.must("", "latchkeyd", "audit", "export")
	w.contains(trail, "similarity", "session.unlocked")
	for line := range strings.Lines(trail) {
		// What the operator imports is in the trail in full; what is typed is not.
		if strings.Contains(line, `"action":"face.`) {
			t.Log(line)
			w.without(line, "7700900123", "7700 900123")
		}
	}
	w.without(trail, "900999", passcode)
	w.without(w.daemon.output.String(), "900123", "900999", passcode)
	w.noPictures()
}

func (w *world) without(text string, secrets ...string) {
	w.t.Helper()
	for _, s := range secrets {
		if strings.Contains(text, s) {
			w.t.Errorf("%s is in %s", s, text)
		}
	}
}

// noPictures looks for a JPEG of a scan in everything that was written. The
// profile photo is sealed, and the test's own is in a folder of its own.
func (w *world) noPictures() {
	w.t.Helper()
	err := filepath.WalkDir(w.folder, func(path string, d os.DirEntry, err error) error {
		if strings.Contains(path, "onnxruntime") {
			w.t.Errorf("the runtime has kept %s: it calls home", path)
		}
		if err != nil || d.IsDir() || filepath.Base(filepath.Dir(path)) == "photos" {
			return err
		}
		data, err := os.ReadFile(path)
		if err == nil && bytes.Contains(data, []byte{0xff, 0xd8, 0xff, 0xe0, 0, 0x10, 'J', 'F', 'I', 'F'}) {
			w.t.Errorf("a picture is in %s", path)
		}
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// TestFaceWithoutAPhoto: the method is shown with the reason, and another one
// is there.
func TestFaceWithoutAPhoto(t *testing.T) {
	w := newFaceWorld(t, nil)
	tab := w.pages(live(t, "birch"))
	click(t, tab, `form[action="/start"] button`)
	browsertest.WaitText(t, tab, "Your Registration Authority has no photo of you.")
	if !browsertest.Get(t, tab, chromedp.Evaluate[bool](`document.querySelector('input[value="face"]').disabled && !document.querySelector('input[value="email"]').disabled`)) {
		t.Error("the wrong methods can be chosen")
	}
}

// location is a page of the application.
func location(t *testing.T, tab context.Context, path string) string {
	t.Helper()
	return browsertest.Get(t, tab, chromedp.Evaluate[string](`location.origin`)) + path
}

// draw makes a picture as a camera sees it.
func draw(t *testing.T, at func(x, y int) color.Color) []byte {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, 640, 480))
	for y := range 480 {
		for x := range 640 {
			img.Set(x, y, at(x, y))
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 92}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// sideBySide has two people in one picture.
func sideBySide(t *testing.T, left, right string) []byte {
	t.Helper()
	var halves [2]image.Image
	for i, name := range []string{left, right} {
		img, err := jpeg.Decode(bytes.NewReader(facetest.Named(t, name).Frame))
		if err != nil {
			t.Fatal(err)
		}
		halves[i] = img
	}
	return draw(t, func(x, y int) color.Color { return halves[x/320].At(160+x%320, y) })
}
