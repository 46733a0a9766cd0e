package api_test

import (
	"encoding/json"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"latchkey/internal/api"
)

// TestManyFrames: a body takes memory by its size, not by how many frames it
// pretends to have.
func TestManyFrames(t *testing.T) {
	for _, element := range []string{"1", "{}", "null", `{"step":1}`} {
		body := `{"scan":"f1","frames":[` + strings.Repeat(element+",", (api.MaxFaceBody-100)/(len(element)+1)) + element + `]}`
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		var frames api.FaceFrames
		err := json.Unmarshal([]byte(body), &frames)
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; err == nil || took > 3*api.MaxFaceBody {
			t.Errorf("frames %s: %d MiB for %d frames, %v", element, took>>20, len(frames.Frames), err)
		}
	}
}

// TestMostFrames: as many as the longest scan has go through as they are.
func TestMostFrames(t *testing.T) {
	sent := api.FaceFrames{Scan: "f1"}
	for n := range api.MaxFrames {
		sent.Frames = append(sent.Frames, api.FaceFrame{Step: 1 + n/12, Milliseconds: n % 12, JPEG: []byte{0xff, 0xd8, 0xff, byte(n)}})
	}
	raw, err := json.Marshal(sent)
	if err != nil {
		t.Fatal(err)
	}
	var got api.FaceFrames
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(sent, got); d != "" {
		t.Error(d)
	}
}
