package demo

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"os"
	"path/filepath"

	"latchkey/internal/daemon"
	"latchkey/internal/directory"
	"latchkey/internal/problem"
	"latchkey/internal/ui"
)

//go:embed photo
var photoFiles embed.FS

// maxUpload is the largest upload of a photo in bytes: the photo and the form
// around it.
const maxUpload = directory.MaxPhoto + 64<<10

// photoPages let the holder of the demo put a profile photo on record, which
// elsewhere is the Registration Authority's to do.
func (d *demo) photoPages(mux *http.ServeMux) {
	page := template.Must(template.ParseFS(photoFiles, "photo/photo.html"))
	show := func(w http.ResponseWriter, said string, open bool) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'")
		w.Header().Set("Cache-Control", "no-store")
		_ = page.Execute(w, struct { // the browser may be gone
			Said string
			Open bool
		}{said, open})
	}
	mux.Handle("GET "+ui.AssetsPath, ui.Assets(ui.Site{}))
	for _, name := range []string{"photo.js", "photo.css"} {
		mux.HandleFunc("GET /"+name, func(w http.ResponseWriter, r *http.Request) { http.ServeFileFS(w, r, photoFiles, "photo/"+name) })
	}
	mux.HandleFunc("GET /photo", func(w http.ResponseWriter, _ *http.Request) { show(w, "", false) })
	mux.Handle("POST /photo", http.NewCrossOriginProtection().Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		picture, err := upload(w, r)
		if err == nil {
			err = d.enrolPhoto(r.Context(), picture)
		}
		if err != nil {
			p := problem.From(err)
			d.o.Log.Info("photo not taken", "code", p.Code, "err", err)
			show(w, p.What()+" "+p.Next, true)
			return
		}
		show(w, "Your photo is on record. Go back to the demo, open Latchkey and choose Face verification.", false)
	})))
}

// upload reads the photo of a form, into memory alone.
func upload(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	r.Body = http.MaxBytesReader(w, r.Body, maxUpload)
	parts, err := r.MultipartReader()
	if err != nil {
		return nil, problem.Wrap(problem.RequestMalformed, err)
	}
	part, err := parts.NextPart()
	if err != nil {
		return nil, problem.Wrap(problem.RequestMalformed, err)
	}
	picture, err := io.ReadAll(part)
	if err != nil {
		return nil, problem.Wrap(problem.PageTooLarge, err)
	}
	return picture, nil
}

// enrolPhoto puts the holder's photo on record as an operator would.
func (d *demo) enrolPhoto(ctx context.Context, picture []byte) (err error) {
	folder, err := os.MkdirTemp(d.folder, "photo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	if err := os.WriteFile(filepath.Join(folder, staffNumber+".jpg"), picture, 0o600); err != nil {
		return fmt.Errorf("keep the photo: %w", err)
	}
	faces, err := daemon.OpenFaces(ctx, d.config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, faces.Close()) }()
	base, err := daemon.Open(ctx, d.config, d.o.Log, "-photos")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, base.Close()) }()
	var refused error
	_, err = base.Directory.EnrolPhotos(ctx, base.DB, faces, folder, directory.EnrolOptions{Replace: true,
		Refused: func(r directory.RefusedPhoto) { refused = r.Problem }})
	if refused != nil {
		return refused
	}
	return err
}
