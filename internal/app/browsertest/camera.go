package browsertest

import (
	"context"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// simulatedCamera stands in for getUserMedia in every page of a tab.
//
//go:embed camera.js
var simulatedCamera string

// Camera is a camera that looks at a picture of a face lit by the page's own
// colour: what a live face before the screen looks like. It exists in tests
// and in the demo's check alone.
type Camera struct {
	Picture []byte `json:"-"` // JPEG or PNG, at best 4:3
	// Gain is the share of the screen's light in the picture, 0.03 to 0.12.
	Gain float64 `json:"gain"`
	// Lag is how long the light takes to the picture, in milliseconds.
	Lag int `json:"lag"`
	// Noise of each picture, in grey levels.
	Noise float64 `json:"noise"`
	// Turn is how far the head turns when asked, in shares of the face's width.
	Turn float64 `json:"turn"`
	// Face is where the face is, in shares of the picture.
	Face struct {
		X float64 `json:"x"`
		Y float64 `json:"y"`
		W float64 `json:"w"`
		H float64 `json:"h"`
	} `json:"face"`
	// Fault is the name of the exception that opening the camera throws.
	Fault string `json:"fault"`
}

// Script is what a page evaluates before its own scripts to have the camera.
func (c Camera) Script() string {
	options, _ := json.Marshal(c) // numbers and strings only
	picture := base64.StdEncoding.EncodeToString(c.Picture)
	return "(" + simulatedCamera + ")(" + string(options) + `, "data:image/jpeg;base64,` + picture + `");`
}

// Install gives every page that the tab opens from now on the camera.
func (c Camera) Install() chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := cdp.Call(ctx, tab, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: c.Script()})
		return err
	})
}

// CameraOff makes sure that every track of the simulated camera has ended.
func CameraOff(t testing.TB, tab context.Context) {
	t.Helper()
	if !Get(t, tab, chromedp.Evaluate[bool](`!!window.simulatedCamera && window.simulatedCamera.tracks.every(t => t.readyState === "ended")`)) {
		t.Error("the camera is still on")
	}
}
