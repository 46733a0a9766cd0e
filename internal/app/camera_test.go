package app

import (
	"bytes"
	"context"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/chromedp"

	"latchkey/internal/api"
	"latchkey/internal/app/browsertest"
	"latchkey/internal/doctor"
	"latchkey/internal/problem"
)

// recording is a video (Motion JPEG: one JPEG after the other) of a picture,
// with a mark that moves so that no two frames are the same.
func recording(t *testing.T, picture image.Image) string {
	t.Helper()
	var b bytes.Buffer
	for i := range 30 {
		frame := image.NewRGBA(image.Rect(0, 0, 640, 480))
		draw.Draw(frame, frame.Bounds(), picture, image.Point{}, draw.Src)
		draw.Draw(frame, image.Rect(20*i, 460, 20*i+20, 480), image.NewUniform(color.White), image.Point{}, draw.Src)
		if err := jpeg.Encode(&b, frame, &jpeg.Options{Quality: 90}); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(t.TempDir(), "recording.mjpeg")
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// realCamera are the options of a browser with Chromium's own fake camera.
// granted answers its question about the camera by itself.
func realCamera(device, video string, granted bool) []chromedp.ExecAllocatorOption {
	var o []chromedp.ExecAllocatorOption
	if device == "" {
		o = append(o, chromedp.Flag("use-fake-device-for-media-stream", true))
	} else {
		o = append(o, chromedp.Flag("use-fake-device-for-media-stream", device))
	}
	if video != "" {
		o = append(o, chromedp.Flag("use-file-for-fake-video-capture", video))
	}
	if granted {
		o = append(o, chromedp.Flag("use-fake-ui-for-media-stream", true))
	}
	return o
}

func realCameraSite(t *testing.T, options []chromedp.ExecAllocatorOption) (*site, context.Context) {
	t.Helper()
	x := newBrowserSite(t)
	x.engine.face, x.engine.scan.steps = true, threeSteps()
	tab := browsertest.StartWith(t, options...)
	browsertest.Do(t, tab, chromedp.Navigate(x.server.gate.launchAddress()))
	browsertest.WaitText(t, tab, "Your smartcard is locked")
	return x, tab
}

// TestReplayedVideo: a recording in the camera's place goes through the page,
// and shows nothing of the screen's light to whoever decides.
func TestReplayedVideo(t *testing.T) {
	still, err := jpeg.Decode(bytes.NewReader(portrait(t)))
	if err != nil {
		t.Fatal(err)
	}
	x, tab := realCameraSite(t, realCamera("", recording(t, still), true))
	x.engine.scan.decide = func(frames map[int][]api.FaceFrame) error {
		red, green := mean(t, frames[1]), mean(t, frames[3])
		if red[0]-green[0] > 1 || green[1]-red[1] > 1 {
			t.Errorf("the recording shows the light: %v and %v", red, green)
		}
		return problem.New(problem.FaceNotVerified)
	}
	x.engine.set(func(v *View) { *v = readyToScan() })
	browsertest.Do(t, tab, chromedp.Navigate(x.server.gate.origin+"/face/scan"))
	browsertest.WaitText(t, tab, "Keep your face in the oval and choose Start.")
	browsertest.Do(t, tab, chromedp.Click(chromedp.CSS("[data-start]")))
	browsertest.WaitText(t, tab, "We could not verify you")
}

// TestRealFaults: what Chromium itself says without a camera and without
// permission, and of a camera that goes away.
func TestRealFaults(t *testing.T) {
	for name, test := range map[string]struct {
		options []chromedp.ExecAllocatorOption
		deny    bool
		code    problem.Code
	}{
		"no camera": {realCamera("device-count=0", "", true), false, problem.CameraMissing},
		"refused":   {realCamera("", "", false), true, problem.CameraRefused},
	} {
		t.Run(name, func(t *testing.T) {
			x, tab := realCameraSite(t, test.options)
			if test.deny {
				browsertest.Do(t, tab, denyCamera())
			}
			x.engine.set(func(v *View) { *v = readyToScan() })
			browsertest.Do(t, tab, chromedp.Navigate(x.server.gate.origin+"/face/scan"))
			browsertest.WaitText(t, tab, problem.New(test.code).Title)
			browsertest.WaitText(t, tab, "Try again")
		})
	}
}

// denyCamera is a person, or a policy, that does not allow the camera.
func denyCamera() chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := cdp.Call(ctx, tab, browser.SetPermission, browser.SetPermissionParams{
			Permission: &browser.PermissionDescriptor{Name: "camera"}, Setting: browser.PermissionSettingDenied})
		return err
	})
}

// testableReport is a report whose camera the page can test.
func testableReport() doctor.Report {
	return doctor.Report{Text: "Smartcard service: good. It is running.\nCamera: not tested. Only here.\nVersion: good. 1.\n", Findings: []doctor.Finding{
		{Name: "Camera", Level: doctor.LevelUnknown, Detail: "Only here.", InPage: true}}}
}

// TestCameraTest: the page that tests this computer tests the camera too, and
// puts what it found into the report.
func TestCameraTest(t *testing.T) {
	black := image.NewRGBA(image.Rect(0, 0, 640, 480))
	draw.Draw(black, black.Bounds(), image.Black, image.Point{}, draw.Src)
	dim := image.NewRGBA(image.Rect(0, 0, 640, 480))
	draw.Draw(dim, dim.Bounds(), image.NewUniform(color.Gray{40}), image.Point{}, draw.Src)
	camera := func(fault string, picture image.Image) browsertest.Camera {
		c := liveCamera(t)
		c.Fault = fault
		if picture != nil {
			var b bytes.Buffer
			if err := jpeg.Encode(&b, picture, nil); err != nil {
				t.Fatal(err)
			}
			c.Picture, c.Gain, c.Noise = b.Bytes(), 0, 0
		}
		return c
	}
	for name, test := range map[string]struct {
		camera               browsertest.Camera
		words, report, level string
	}{
		"good":    {camera("", nil), "works. Its picture has 640 by 480 points.", "Camera: good. ", "Good"},
		"dark":    {camera("", dim), "It is too dark.", "Camera: check this. ", "Check this"},
		"black":   {camera("", black), "Open the camera's cover.", "Camera: not working. The camera's picture is black. The camera works but it sees nothing. [LK-1106]", "Not working"},
		"missing": {camera("NotFoundError", nil), "No camera found.", "Camera: not working. No camera found. This computer has no camera, or it is switched off. [LK-1101]", "Not working"},
		"busy":    {camera("NotReadableError", nil), "Close other programs that use the camera", "[LK-1103]", "Not working"},
	} {
		t.Run(name, func(t *testing.T) {
			x, tab := faceSite(t, test.camera)
			x.server.doctor = func(context.Context) doctor.Report { return testableReport() }
			browsertest.Do(t, tab, chromedp.Navigate(x.server.gate.origin+"/troubleshooting"))
			browsertest.WaitText(t, tab, "Only here.")
			focus(t, tab, "[data-camera-test]")
			browsertest.Do(t, tab, press(" "))
			browsertest.WaitText(t, tab, test.words)
			browsertest.WaitText(t, tab, test.report)
			browsertest.WaitText(t, tab, "Version: good. 1.")
			browsertest.WaitText(t, tab, test.level)
			browsertest.WaitText(t, tab, "Test the camera again")
			browsertest.CheckAccessibility(t, tab, "camera test "+name)
			browsertest.CameraOff(t, tab)
			picture(t, tab, "camera-test-"+name)
		})
	}
}
