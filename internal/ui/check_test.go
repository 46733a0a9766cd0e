package ui

import (
	"testing"
	"testing/fstest"

	"latchkey/internal/problem"
)

func TestCheckOfABareClone(t *testing.T) {
	bare := fstest.MapFS{"assets/vendor/.gitkeep": {}}
	if err := check(bare); problem.CodeOf(err) != problem.AssetsMissing {
		t.Errorf("got %v", err)
	}
}
