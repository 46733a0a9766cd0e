package ui

import (
	"embed"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"latchkey/internal/problem"
)

//go:embed all:assets
var assets embed.FS

// AssetsPath is where Assets is mounted; LogoPath is where the organisation's
// logo is.
const (
	AssetsPath = "/assets/"
	LogoPath   = "/assets/logo"
)

// vendored are the files that scripts/assets.sh fetches and every page needs.
var vendored = []string{"assets/vendor/nhsuk-frontend.min.css", "assets/vendor/nhsuk-frontend.min.js"}

// maxLogo is the largest logo in bytes.
const maxLogo = 1 << 20

// Check says problem.AssetsMissing where the design system's files are not in
// this build.
func Check() error { return check(assets) }

func check(files fs.FS) error {
	for _, name := range vendored {
		if _, err := fs.Stat(files, name); err != nil {
			return problem.Wrap(problem.AssetsMissing, fmt.Errorf("look for %s: %w", name, err))
		}
	}
	return nil
}

// Logo is the organisation's logo.
type Logo struct {
	Type string // media type
	Data []byte
}

// ReadLogo reads a logo of at most 1 MiB: PNG, JPEG or SVG, by the file's name.
func ReadLogo(name string) (*Logo, error) {
	types := map[string]string{".svg": "image/svg+xml", ".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg"}
	kind, ok := types[strings.ToLower(filepath.Ext(name))]
	if !ok {
		return nil, problem.Wrap(problem.ConfigInvalid, fmt.Errorf("logo %q is not an svg, png or jpg file", name))
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, problem.Wrap(problem.ConfigInvalid, fmt.Errorf("read the logo: %w", err))
	}
	if len(data) > maxLogo {
		return nil, problem.Wrap(problem.ConfigInvalid, fmt.Errorf("logo %q is larger than 1 MiB", name))
	}
	return &Logo{Type: kind, Data: data}, nil
}

// Assets serves the files that pages ask for, under AssetsPath.
func Assets(site Site) http.Handler {
	files := http.FileServerFS(assets)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == LogoPath && site.Logo != nil {
			w.Header().Set("Content-Type", site.Logo.Type)
			_, _ = w.Write(site.Logo.Data) // the client may be gone
			return
		}
		if strings.HasSuffix(r.URL.Path, "/") || strings.Contains(r.URL.Path, "/.") {
			http.NotFound(w, r)
			return
		}
		files.ServeHTTP(w, r)
	})
}
