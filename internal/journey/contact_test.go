package journey_test

import (
	"os"
	"path/filepath"
	"testing"

	"latchkey/internal/api"
	"latchkey/internal/card/emulator"
	"latchkey/internal/journey"
)

// TestContactIsKnownWithoutTheService: whom to ask is known from the last time
// that the service was there. A damaged file is no fault.
func TestContactIsKnownWithoutTheService(t *testing.T) {
	d := newDesk(t, emulator.Options{})
	file := filepath.Join(t.TempDir(), "latchkey", "contact.json")
	start := func(s journey.Service) *journey.Engine {
		return journey.New(t.Context(), journey.Options{Readers: d.readers, Service: s, Pins: d.Pins, ContactFile: file})
	}
	met := start(d.Client)
	met.Meet(t.Context())
	want := met.Service().Contact
	if want == (api.Contact{}) {
		t.Fatal("the service says nobody")
	}
	if got := start(nil).Service().Contact; got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if err := os.WriteFile(file, []byte(`{"name":"half`), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := start(nil).Service().Contact; got != (api.Contact{}) {
		t.Errorf("of a damaged file: %+v", got)
	}
}
