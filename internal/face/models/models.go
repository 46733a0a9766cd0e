// Package models holds what face verification runs: the runtime library of the
// platform that was built on, and the models with their manifest.
//
// scripts/models.sh fetches the files; a build without them works, and Open
// then says that they are missing.
package models

import (
	"embed"
	"fmt"
	"io/fs"

	"latchkey/internal/face"
)

//go:embed all:vendor
var vendor embed.FS

// Library is the name of the runtime library in the folder. It is not there on
// platforms for which scripts/models.sh has none.
const Library = "libonnxruntime.so"

// Open gives the folder of the models: manifest.json, the files that it names,
// and Library. Where set-up has not fetched them the error is
// face.ErrUnavailable.
func Open() (fs.FS, error) {
	folder, err := fs.Sub(vendor, "vendor")
	if err != nil {
		return nil, err
	}
	if _, err := fs.Stat(folder, "manifest.json"); err != nil {
		return nil, fmt.Errorf("%w: this program was built without its models (run scripts/models.sh, then build again)", face.ErrUnavailable)
	}
	return folder, nil
}
