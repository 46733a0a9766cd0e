//go:build cgo

package engine

import (
	"fmt"
	"sync"

	ort "github.com/yalue/onnxruntime_go"

	"latchkey/internal/face"
)

// loading guards the binding's one runtime library, which belongs to the
// process as ours does: it is loaded once and stays.
var loading sync.Mutex

// load loads the library, if none is loaded yet.
func (l library) load() error {
	loading.Lock()
	defer loading.Unlock()
	if ort.IsInitialized() {
		return nil
	}
	path, done, err := l.file()
	if err != nil {
		return fmt.Errorf("%w: the runtime library can't be put into memory (%w); the setting face_runtime names a file to use", face.ErrUnavailable, err)
	}
	defer done()
	ort.SetSharedLibraryPath(path)
	if err := ort.InitializeEnvironment(ort.WithLogLevelError()); err != nil {
		return fmt.Errorf("%w: the runtime library: %w", face.ErrUnavailable, err)
	}
	return nil
}
