package attacks

import (
	"runtime"
	"testing"
	"time"

	"latchkey/internal/face/engine"
	"latchkey/internal/face/scan"
)

// sessions of each scenario here; the report counts many more.
const sessions = 3

// TestScenarios lets a few sessions of each scenario through the checker: what
// must be rejected is rejected each time, and a live face is taken mostly (it
// may try again).
func TestScenarios(t *testing.T) {
	e, err := engine.Open(engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	people, err := Cast(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	o := scan.DefaultOptions()
	o.Processors, o.AtOnce, o.Wait = 1, runtime.NumCPU(), time.Hour
	checker := scan.New(e, o)
	for _, s := range Scenarios() {
		t.Run(s.Name, func(t *testing.T) {
			got, err := Play(t.Context(), checker, people, s, sessions, runtime.NumCPU(), 7)
			if err != nil {
				t.Fatal(err)
			}
			if s.Expect == Rejected && got.Accepted > 0 || s.Expect == Accepted && got.Accepted < sessions-1 {
				t.Errorf("accepted %d of %d, expected %s: %v", got.Accepted, sessions, s.Expect, got.Reasons)
				for _, d := range got.Decisions {
					t.Log(d.Reason, d.Scores)
				}
			}
		})
	}
}
