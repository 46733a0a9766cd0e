// Package engine finds and describes faces with three small networks, run by
// ONNX Runtime in this process: a detector, 68 landmarks, and an embedder that
// gives a face as numbers. A manifest names them and what they expect.
//
// It promises: pictures and templates stay in memory; nothing is asked of the
// network; the same picture gives the same template. A build without cgo, or a
// machine without the runtime library, gets face.ErrUnavailable.
package engine

import (
	"fmt"
	"io"
	"os"
	"runtime"

	"latchkey/internal/face"
	"latchkey/internal/face/models"
)

// Engine is a face.Engine that says what it runs.
type Engine interface {
	face.Engine
	Manifest() Manifest
}

// Options say what to open.
type Options struct {
	Folder  string // of an organisation's own models, with manifest.json; empty for those in the program
	Runtime string // file of the ONNX Runtime library; empty for the one in the program
	Threads int    // how many faces are worked on at once; 0 for as many as there are processors
}

// Open loads the models, which takes a fraction of a second, and checks that
// they are what the manifest says. Its error is a ModelError, or
// face.ErrUnavailable where this build or machine has nothing to run them.
func Open(o Options) (Engine, error) {
	if o.Threads < 1 {
		o.Threads = runtime.GOMAXPROCS(0)
	}
	embedded, missing := models.Open()
	folder := embedded
	if o.Folder != "" {
		folder = os.DirFS(o.Folder)
	} else if missing != nil {
		return nil, missing
	}
	set, err := load(folder)
	if err != nil {
		return nil, err
	}
	l := library{path: o.Runtime}
	if l.path == "" {
		if missing == nil {
			l.content, err = embedded.Open(models.Library)
		}
		if missing != nil || err != nil {
			return nil, fmt.Errorf("%w: the program has no runtime library for this platform; the setting face_runtime names one", face.ErrUnavailable)
		}
		defer l.content.Close()
	}
	return start(set, l, o.Threads)
}

// library is the runtime library: a file, or its content.
type library struct {
	path    string
	content io.ReadCloser
}
