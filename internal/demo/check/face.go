package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/chromedp/chromedp"

	"latchkey/internal/app/browsertest"
	"latchkey/internal/demo"
	"latchkey/internal/face/facetest"
)

// afterwards is the passcode that is set with the face.
const afterwards = "573920"

// faceWalk takes a profile photo and sets a passcode anew with the same face:
// the card is unlocked already, and its holder has forgotten the passcode. The
// camera is simulated.
func faceWalk(tab context.Context, address string, out io.Writer) error {
	holder, err := facetest.ReadFace(facetest.Names()[0])
	if err != nil {
		return err
	}
	camera := browsertest.Live(holder.Frame, holder.FrameFound)
	if err := photograph(tab, camera, address, out); err != nil {
		return err
	}
	w := walker{tab, out}
	began := time.Now()
	steps := []func() error{
		func() error { return chromedp.Do(tab, camera.Install()) },
		func() error { return w.visit("/forgotten") },
		func() error { return w.click("Choose a new passcode") },
		func() error { return w.see("Face verification") },
		func() error { return w.choose("Face verification") },
		func() error { return w.click("Continue") },
		func() error { return w.see("What is your mobile phone number?") },
		func() error { return w.fill("#mobile", demo.Mobile) },
		func() error { return w.click("Continue") },
		func() error { return w.see("at most one flash a second") },
		func() error { return w.choose("I agree that my face is scanned and compared with my photo") },
		func() error { return w.click("Continue") },
		func() error { return w.see("Keep your face in the oval and choose Start.") },
		func() error { began = time.Now(); return w.click("Start") },
		func() error { return w.see("Your face matches the photo.") },
		func() error {
			return w.since("from Start to the result of the scan, 3 seconds of them the countdown", began)
		},
		func() error { return w.fill("#passcode", afterwards) },
		func() error { return w.fill("#again", afterwards) },
		func() error { return w.click("Confirm") },
		func() error { return w.see("Your passcode has been changed") },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// photograph takes the profile photo on the demo's own page.
func photograph(tab context.Context, camera browsertest.Camera, address string, out io.Writer) error {
	photo, cancel := chromedp.NewContext(tab)
	defer cancel()
	w := walker{photo, out}
	return errors.Join(
		chromedp.Do(photo, camera.Install(), chromedp.Navigate(address+"photo")),
		w.until(`document.querySelector("video")?.videoWidth > 0`, "the camera shows nothing"),
		w.click("Take the photo"),
		w.see("Your photo is on record."))
}

// visit goes to a page of the application.
func (w walker) visit(path string) error {
	origin, err := chromedp.Run(w.tab, chromedp.Evaluate[string](`location.origin`))
	if err != nil {
		return fmt.Errorf("where the application is: %w", err)
	}
	return chromedp.Do(w.tab, chromedp.Navigate(origin+path))
}
