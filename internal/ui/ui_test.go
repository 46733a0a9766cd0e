package ui_test

import (
	"io/fs"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"latchkey/internal/problem"
	"latchkey/internal/ui"
)

func onePage(t *testing.T, site ui.Site, content string) *ui.Pages {
	t.Helper()
	pages, err := ui.New(site, fstest.MapFS{"x.html": {Data: []byte(`{{define "content"}}` + content + `{{end}}`)}})
	if err != nil {
		t.Fatal(err)
	}
	return pages
}

func TestLayoutEscapesWhatComesFromOutside(t *testing.T) {
	site := ui.Site{Name: "Latchkey", Organisation: `<script>alert(1)</script>`}
	var b strings.Builder
	page := ui.Page{Title: `<img src=x>`, Errors: []ui.ErrorLink{{Text: "<b>bad</b>", Href: "javascript:alert(1)"}}, Body: "<i>reader</i>"}
	if err := onePage(t, site, `{{.Body}}`).Render(&b, "x", page); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"<script>alert", "<img src=x", "<b>bad", "<i>reader", "javascript:alert"} {
		if strings.Contains(b.String(), bad) {
			t.Errorf("the page has %q in it", bad)
		}
	}
}

func TestLayoutHasNothingInline(t *testing.T) {
	var b strings.Builder
	page := ui.Page{Title: "T", Back: "/", Refresh: 3, Live: "status", Timer: &ui.Timer{Left: time.Minute}, Errors: []ui.ErrorLink{{Text: "E"}}}
	if err := onePage(t, ui.Site{Name: "Latchkey"}, "").Render(&b, "x", page); err != nil {
		t.Fatal(err)
	}
	if m := regexp.MustCompile(`<script>|<script [^>]*>[^<]|<style|\sstyle=|\son[a-z]+=`).FindString(b.String()); m != "" {
		t.Errorf("the policy would refuse %q", m)
	}
	if !strings.Contains(b.String(), "<title>Error: T - Latchkey</title>") {
		t.Error("the title of a page with errors does not begin with Error:")
	}
}

func TestAssetsAskNoOtherHost(t *testing.T) {
	err := filepath.WalkDir("assets", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(name) != ".css" {
			return err
		}
		data, err := os.ReadFile(name)
		if m := regexp.MustCompile(`(?i)(url\(|@import)[^)]{0,20}//[^)]*`).Find(data); m != nil {
			t.Errorf("%s asks for %s", name, m)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAssets(t *testing.T) {
	if err := ui.Check(); err != nil {
		t.Fatalf("run make setup: %v", err)
	}
	handler := ui.Assets(ui.Site{Logo: &ui.Logo{Type: "image/png", Data: []byte("logo")}})
	for path, want := range map[string]int{
		"/assets/latchkey.css":                     200,
		"/assets/vendor/nhsuk-frontend.min.css":    200,
		"/assets/vendor/nhsuk-frontend.min.js":     200,
		"/assets/logo":                             200,
		"/assets/":                                 404,
		"/assets/vendor/":                          404,
		"/assets/vendor/.stamp":                    404,
		"/assets/missing.css":                      404,
		"/assets/../templates/layout.html":         404,
		"/assets/%2e%2e/templates/components.html": 404,
	} {
		rec := httptest.NewRecorder()
		handler.ServeHTTP(rec, httptest.NewRequest("GET", path, nil))
		if rec.Code != want {
			t.Errorf("%s: status %d, want %d", path, rec.Code, want)
		}
	}
}

func TestReadLogo(t *testing.T) {
	dir := t.TempDir()
	good, text, large := filepath.Join(dir, "logo.SVG"), filepath.Join(dir, "logo.txt"), filepath.Join(dir, "large.png")
	for name, size := range map[string]int{good: 10, text: 10, large: 1<<20 + 1} {
		if err := os.WriteFile(name, make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if logo, err := ui.ReadLogo(good); err != nil || logo.Type != "image/svg+xml" {
		t.Errorf("got %v, %v", logo, err)
	}
	for _, name := range []string{text, large, filepath.Join(dir, "none.png")} {
		if _, err := ui.ReadLogo(name); problem.CodeOf(err) != problem.ConfigInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0 seconds", time.Second: "1 second", 59 * time.Second: "59 seconds",
		time.Minute: "1 minute", 89 * time.Second: "1 minute", 90 * time.Second: "2 minutes", 15 * time.Minute: "15 minutes",
	} {
		if got := ui.Duration(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}
