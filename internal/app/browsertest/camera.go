package browsertest

import (
	"context"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"math"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"latchkey/internal/face"
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
	// Turn is how far the head turns when asked: the sine of the angle.
	Turn float64 `json:"turn"`
	// Depth is how far the places of the picture are before the eyes, on a grid
	// of DepthColumns by DepthRows, in shares of the picture's width. Empty: flat.
	Depth []float32 `json:"depth"`
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

// The grid of Camera.Depth.
const (
	DepthColumns = 64
	DepthRows    = 48
)

// Live is a camera before a live person whose face a picture of 640 by 480
// pixels shows: the usual gain, lag and noise, and a head with a usual head's
// depth around the landmarks.
func Live(picture []byte, found face.Found) Camera {
	c := Camera{Picture: picture, Gain: 0.08, Lag: 100, Noise: 2, Turn: 0.4, Depth: make([]float32, DepthColumns*DepthRows)}
	const width, height = 640, 480
	b := found.Box
	c.Face.X, c.Face.Y = float64(b.X/width), float64(b.Y/height)
	c.Face.W, c.Face.H = float64(b.W/width), float64(b.H/height)
	eyes := (middle(found.Landmarks[42:48]) - middle(found.Landmarks[36:42])) / width
	known, z := found.Landmarks, depths()
	for i := range c.Depth {
		x := float64(i%DepthColumns) / (DepthColumns - 1) * width
		y := float64(i/DepthColumns) / (DepthRows - 1) * height
		var sum, weight float64
		nearest := math.Inf(1)
		for k, p := range known {
			d := math.Hypot(x-float64(p.X), y-float64(p.Y)) / (eyes * width)
			w := math.Exp(-d*d/(2*0.15*0.15)) + 1e-4/(d*d+0.02)
			sum += w * z[k]
			weight += w
			nearest = min(nearest, d)
		}
		// The wall behind does not move.
		c.Depth[i] = float32(sum / weight * eyes * min(1, max(0, 2-2*nearest)))
	}
	return c
}

func middle(points []face.Point) (x float64) {
	for _, p := range points {
		x += float64(p.X) / float64(len(points))
	}
	return x
}

// depths is how far the 68 landmarks of a usual head are before its eyes, in
// eye distances.
func depths() [68]float64 {
	return [68]float64{
		-1.1, -1, -0.9, -0.7, -0.5, -0.25, -0.05, 0.05, 0.1, 0.05, -0.05, -0.25, -0.5, -0.7, -0.9, -1, -1.1, // jaw
		-0.25, 0, 0.1, 0.15, 0.15, 0.15, 0.15, 0.1, 0, -0.25, // brows
		0.15, 0.27, 0.4, 0.52, 0.22, 0.3, 0.33, 0.3, 0.22, // nose
		-0.2, 0, 0, 0, 0, 0, 0, 0, 0, -0.2, 0, 0, // eyes
		0.1, 0.2, 0.28, 0.3, 0.28, 0.2, 0.1, 0.15, 0.22, 0.25, 0.22, 0.15, 0.1, 0.24, 0.26, 0.24, 0.1, 0.22, 0.23, 0.22, // mouth
	}
}

// Script is what a page evaluates before its own scripts to have the camera.
func (c Camera) Script() string {
	options, _ := json.Marshal(struct { // numbers and strings only
		Camera
		Columns int `json:"columns"`
	}{c, DepthColumns})
	picture := base64.StdEncoding.EncodeToString(c.Picture)
	return "(" + simulatedCamera + ")(" + string(options) + `, "` + picture + `");`
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
