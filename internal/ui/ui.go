// Package ui is what every page of Latchkey looks like: the layout, the
// partials, and the design system's files.
//
// The design system is nhsuk-frontend 10.6.1 (MIT licence); its partials here
// are ours, compared with its own examples in fixtures_test.go. Its style
// sheet and script are fetched by scripts/assets.sh and embedded; a build
// without them says so (problem.AssetsMissing). Nothing is asked of another
// host: the fonts are those of the machine.
//
// Pages have no inline script or style, so that they work under
// ContentSecurityPolicy. Everything written into a page is escaped by
// html/template.
package ui

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"path"
	"strings"
	"time"
)

// ContentSecurityPolicy is the policy (CSP level 3) that every answer carries.
const ContentSecurityPolicy = "default-src 'none'; style-src 'self'; script-src 'self'; " +
	"img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

//go:embed templates
var templates embed.FS

// Site is what all pages of one program have in common.
type Site struct {
	Name         string // of the program, in the head and in titles
	Organisation string // in the head
	Logo         *Logo  // in the organisation's place
	Links        []Link // in the foot
	Version      string // in the foot
}

// Page is what the layout needs to know of one page.
type Page struct {
	Title   string // the page's h1, also its title
	Back    string // address of the back link; "" for none
	Refresh int    // seconds until a browser without JavaScript asks again; 0 is never
	Errors  []ErrorLink
	Timer   *Timer
	Live    string // the news that the script watches for this page; "" is none in particular, LiveOff not to ask
	Help    string // in the foot: who can help
	Script  string // the page's own script under AssetsPath, "camera/scan.js"; "" for none
	Body    any    // what the page's own template needs
}

// LiveOff is Page.Live for a page whose reader has no right to any news.
const LiveOff = "off"

// Timer is the session's time left.
type Timer struct{ Left time.Duration }

// Seconds is the time left in whole seconds.
func (t Timer) Seconds() int { return int(t.Left / time.Second) }

// Short says that the time is nearly over.
func (t Timer) Short() bool { return t.Left <= 5*time.Minute }

// Words is the time left in words.
func (t Timer) Words() string { return Duration(t.Left) }

// Duration says a time in words: minutes, and seconds below one minute.
func Duration(d time.Duration) string {
	if d < 0 {
		d = 0
	}
	n, unit := int((d+30*time.Second)/time.Minute), "minute"
	if d < time.Minute {
		n, unit = int(d/time.Second), "second"
	}
	if n != 1 {
		unit += "s"
	}
	return fmt.Sprintf("%d %s", n, unit)
}

// Pages renders the pages of one program.
type Pages struct {
	site Site
	sets map[string]*template.Template
}

// New reads a program's page templates: each file NAME.html of the folder
// defines "content", and may use every partial and every file NAME.part.html.
func New(site Site, files fs.FS) (*Pages, error) {
	p := &Pages{site: site, sets: map[string]*template.Template{}}
	base := template.New("ui")
	base.Funcs(functions(base))
	if _, err := base.ParseFS(templates, "templates/*.html"); err != nil {
		return nil, fmt.Errorf("read the layout: %w", err)
	}
	if parts, _ := fs.Glob(files, "*.part.html"); len(parts) > 0 {
		if _, err := base.ParseFS(files, parts...); err != nil {
			return nil, fmt.Errorf("read the shared parts of pages: %w", err)
		}
	}
	names, err := fs.Glob(files, "*.html")
	if err != nil {
		return nil, fmt.Errorf("list the pages: %w", err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, ".part.html") {
			continue
		}
		set, err := base.Clone()
		if err != nil {
			return nil, fmt.Errorf("prepare page %s: %w", name, err)
		}
		set.Funcs(functions(set))
		if _, err := set.ParseFS(files, name); err != nil {
			return nil, fmt.Errorf("read page %s: %w", name, err)
		}
		p.sets[strings.TrimSuffix(path.Base(name), ".html")] = set
	}
	return p, nil
}

// Render writes a page. Nothing is written when the template fails.
func (p *Pages) Render(w io.Writer, name string, page Page) error {
	set, ok := p.sets[name]
	if !ok {
		return fmt.Errorf("no page %q", name)
	}
	var b bytes.Buffer
	if err := set.ExecuteTemplate(&b, "layout", layout{Site: p.site, Page: page}); err != nil {
		return fmt.Errorf("render page %s: %w", name, err)
	}
	_, err := w.Write(b.Bytes())
	return err
}

// Part renders one template of a page, for answers to the page's script.
func (p *Pages) Part(name, part string, data any) (template.HTML, error) {
	set, ok := p.sets[name]
	if !ok {
		return "", fmt.Errorf("no page %q", name)
	}
	var b bytes.Buffer
	if err := set.ExecuteTemplate(&b, part, data); err != nil {
		return "", fmt.Errorf("render %s of page %s: %w", part, name, err)
	}
	return template.HTML(b.String()), nil // #nosec: html/template escaped it
}

// layout is what the layout template gets.
type layout struct {
	Site Site
	Page Page
}

// Head is the head of the page.
func (l layout) Head() Header {
	h := Header{Organisation: l.Site.Organisation, Service: l.Site.Name, ServiceHref: "/"}
	if l.Page.Live == LiveOff {
		h.ServiceHref = ""
	}
	if l.Site.Logo != nil {
		h.Colour, h.LogoSrc, h.LogoAlt = "white", LogoPath, l.Site.Organisation
	}
	return h
}

// Foot is the foot of the page.
func (l layout) Foot() Footer {
	if l.Page.Live == LiveOff { // no page that a link could lead to is open either
		return Footer{Copyright: l.Site.Version}
	}
	return Footer{Links: l.Site.Links, Text: l.Page.Help, Copyright: l.Site.Version}
}

// Summary is the error summary.
func (l layout) Summary() ErrorSummary {
	return ErrorSummary{Heading: "There is a problem", Errors: l.Page.Errors}
}

// FullTitle is what the window's title says.
func (l layout) FullTitle() string {
	title := l.Page.Title
	if title != l.Site.Name {
		title += " - " + l.Site.Name
	}
	if l.Site.Organisation != "" {
		title += " - " + l.Site.Organisation
	}
	if len(l.Page.Errors) > 0 {
		title = "Error: " + title
	}
	return title
}
