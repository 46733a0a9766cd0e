// Package facetest gives tests and the demonstration pictures of faces. It is
// no part of the programs.
//
// The pictures come with the package @vladmandic/face-api; scripts/models.sh
// fetches them.
package facetest

import (
	"embed"
	"fmt"
	"testing"
)

//go:embed all:vendor
var vendor embed.FS

// Samples is how many whole pictures there are.
const Samples = 6

// ReadSample gives a whole picture, 1 to Samples: a JPEG 1920 pixels wide of
// three to five people.
func ReadSample(n int) ([]byte, error) {
	data, err := vendor.ReadFile(fmt.Sprintf("vendor/sample%d.jpg", n))
	if err != nil {
		return nil, fmt.Errorf("%w (run scripts/models.sh)", err)
	}
	return data, nil
}

// Sample is ReadSample for tests.
func Sample(t testing.TB, n int) []byte {
	t.Helper()
	data, err := ReadSample(n)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
