//go:build cgo

package engine

import (
	"fmt"
	"os"
	"sync"

	ort "github.com/yalue/onnxruntime_go"

	"latchkey/internal/face"
)

// loading guards the binding's one runtime library, which belongs to the
// process as ours does: it is loaded once and stays.
var loading sync.Mutex

// silence is the runtime's own switch (onnxruntime pull requests 27379 and
// 29843).
const silence = "ORT_DISABLE_TELEMETRY"

// load loads the library, if none is loaded yet. A file that is named must be
// there all the same.
func (l library) load() error {
	loading.Lock()
	defer loading.Unlock()
	if l.path != "" {
		if _, err := os.Stat(l.path); err != nil {
			return fmt.Errorf("%w: the runtime library: %w", face.ErrUnavailable, err)
		}
	}
	if ort.IsInitialized() {
		return nil
	}
	path, done, err := l.file()
	if err != nil {
		return fmt.Errorf("%w: the runtime library can't be put into memory (%w); the setting face_runtime names a file to use", face.ErrUnavailable, err)
	}
	defer done()
	// The published library tells its maker of its use, and keeps a number for
	// this machine in the home folder, unless this says otherwise before it
	// starts.
	if err := os.Setenv(silence, "1"); err != nil {
		return fmt.Errorf("%w: the runtime library can't be kept from calling home: %w", face.ErrUnavailable, err)
	}
	ort.SetSharedLibraryPath(path)
	if err := ort.InitializeEnvironment(ort.WithLogLevelError()); err != nil {
		return fmt.Errorf("%w: the runtime library: %w", face.ErrUnavailable, err)
	}
	return nil
}
