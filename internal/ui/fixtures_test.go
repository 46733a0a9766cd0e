package ui_test

import (
	"encoding/json"
	"errors"
	"html/template"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"latchkey/internal/ui"
)

const components = "../../node_modules/nhsuk-frontend/dist/nhsuk/components"

// text is an option that is a string or {"text": "..."}.
type text string

func (s *text) UnmarshalJSON(data []byte) error {
	var plain string
	if json.Unmarshal(data, &plain) == nil {
		*s = text(plain)
		return nil
	}
	var o struct{ Text *string }
	if err := strict(data, &o); err != nil {
		return err
	}
	if o.Text == nil {
		return errors.New("no text")
	}
	*s = text(*o.Text)
	return nil
}

// labelOptions is a label's or a legend's options.
type labelOptions struct {
	Text    string
	Heading json.RawMessage
	Size    string
}

func (l labelOptions) label() (ui.Label, error) {
	out := ui.Label{Text: l.Text, Size: l.Size}
	if l.Heading == nil {
		return out, nil
	}
	out.Heading = true
	if string(l.Heading) == "true" {
		return out, nil
	}
	return out, json.Unmarshal(l.Heading, &out.Text)
}

// strict decodes options; one that our partial does not have is an error.
func strict(data []byte, into any) error {
	d := json.NewDecoder(strings.NewReader(string(data)))
	d.DisallowUnknownFields()
	return d.Decode(into)
}

// parse turns the options of nhsuk-frontend's macro into our parameters. An
// error means that the example uses an option that our pages do not need.
type parse func(options []byte) (any, error)

// simple decodes options into T and hands them on.
func simple[T any](convert func(T) (any, error)) parse {
	return func(options []byte) (any, error) {
		var o T
		if err := strict(options, &o); err != nil {
			return nil, err
		}
		return convert(o)
	}
}

// TestFixtures renders nhsuk-frontend's own examples with our partials.
func TestFixtures(t *testing.T) {
	for _, c := range []struct {
		component string
		least     int // how many examples must be comparable
		parse     parse
	}{
		{"button", 20, simple(button)},
		{"input", 14, simple(input)},
		{"password-input", 9, simple(passwordInput)},
		{"radios", 14, simple(radios)},
		{"checkboxes", 8, simple(checkboxes)},
		{"error-summary", 5, simple(errorSummary)},
		{"inset-text", 2, simple(insetText)},
		{"details", 7, simple(details)},
		{"summary-list", 3, simple(summaryList)},
		{"tag", 12, simple(tag)},
		{"panel", 6, simple(panel)},
		{"card", 3, simple(card)},
		{"back-link", 1, simple(backLink)},
		{"skip-link", 1, simple(skipLink)},
		{"header", 1, simple(header)},
		{"footer", 3, simple(footer)},
	} {
		t.Run(c.component, func(t *testing.T) {
			compared := 0
			for _, f := range readFixtures(t, c.component) {
				data, err := c.parse(f.Context)
				if err != nil || f.calledWithABlock() {
					continue
				}
				compared++
				if got, want := normalise(render(t, c.component, data)), normalise(f.HTML); got != want {
					t.Errorf("%s:\n got %s\nwant %s", f.Name, got, want)
				}
			}
			if compared < c.least {
				t.Errorf("compared %d examples, want at least %d", compared, c.least)
			}
		})
	}
}

type fixture struct {
	Name    string
	Context json.RawMessage
	HTML    string
}

// calledWithABlock says that the example's text is not among its options.
func (f fixture) calledWithABlock() bool { return strings.Contains(f.Name, "via call block") }

func readFixtures(t *testing.T, component string) []fixture {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(components, component, "fixtures.json"))
	if errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("nhsuk-frontend's examples are missing: run make setup (%v)", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Fixtures []fixture }
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	return file.Fixtures
}

// render writes one partial through a page of its own.
func render(t *testing.T, component string, data any) string {
	t.Helper()
	pages, err := ui.New(ui.Site{}, fstest.MapFS{"x.html": {Data: []byte(`{{define "content"}}{{end}}`)}})
	if err != nil {
		t.Fatal(err)
	}
	out, err := pages.Part("x", component, data)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

var (
	spaces    = regexp.MustCompile(`\s+`)
	aroundTag = regexp.MustCompile(` ?(<[^>]*>) ?`)
	entities  = strings.NewReplacer("&#39;", "'", "&#34;", `"`, "&quot;", `"`, "&amp;", "&")
	// html/template writes these in an attribute; they mean the same.
	attributes = strings.NewReplacer("&#43;", "+")
)

func normalise(html string) string {
	s := spaces.ReplaceAllString(html, " ")
	s = aroundTag.ReplaceAllString(s, "$1")
	return strings.TrimSpace(attributes.Replace(entities.Replace(s)))
}

type buttonOptions struct {
	Text, Href, Variant string
	Small, Disabled     bool
	PreventDoubleClick  *bool
}

func button(o buttonOptions) (any, error) {
	if o.PreventDoubleClick != nil && !*o.PreventDoubleClick {
		return nil, errors.New("an attribute that says the default")
	}
	return ui.Button{Text: o.Text, Href: o.Href, Variant: o.Variant, Small: o.Small, Disabled: o.Disabled, PreventDoubleClick: o.PreventDoubleClick != nil}, nil
}

type inputOptions struct {
	Label                   labelOptions
	ID, Name, Value, Type   string
	Hint, ErrorMessage      text
	Autocomplete, InputMode string
	Width                   int
	Code                    bool
	Spellcheck              *bool
}

func input(o inputOptions) (any, error) {
	label, err := o.Label.label()
	if o.Spellcheck != nil && *o.Spellcheck {
		return nil, errors.New("spellcheck on")
	}
	return ui.Input{Label: label, ID: or(o.ID, o.Name), Name: o.Name, Value: o.Value, Type: o.Type, Hint: string(o.Hint),
		Error: string(o.ErrorMessage), Autocomplete: o.Autocomplete, InputMode: o.InputMode, Width: o.Width,
		Code: o.Code, NoSpellcheck: o.Spellcheck != nil}, err
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

type passwordOptions struct {
	Label              labelOptions
	ID, Name           string
	Hint, ErrorMessage text
	Autocomplete       string
	Width              int
	Code               bool
}

func passwordInput(o passwordOptions) (any, error) {
	label, err := o.Label.label()
	return ui.PasswordInput{Label: label, ID: or(o.ID, o.Name), Name: o.Name, Hint: string(o.Hint), Error: string(o.ErrorMessage),
		Autocomplete: o.Autocomplete, Width: o.Width, Code: o.Code}, err
}

type radiosOptions struct {
	Fieldset           struct{ Legend labelOptions }
	IDPrefix, Name     string
	Hint, ErrorMessage text
	Value              string
	Items              []struct {
		Value, Text string
		Hint        text
		Disabled    bool
	}
}

func radios(o radiosOptions) (any, error) {
	legend, err := o.Fieldset.Legend.label()
	if legend.Text == "" {
		return nil, errors.New("no legend")
	}
	r := ui.Radios{Legend: legend, IDPrefix: or(o.IDPrefix, o.Name), Name: o.Name, Hint: string(o.Hint), Error: string(o.ErrorMessage), Value: o.Value}
	for _, i := range o.Items {
		r.Items = append(r.Items, ui.RadioItem{Value: i.Value, Text: i.Text, Hint: string(i.Hint), Disabled: i.Disabled})
	}
	return r, err
}

type checkboxesOptions struct {
	Fieldset           struct{ Legend labelOptions }
	IDPrefix, Name     string
	Hint, ErrorMessage text
	Items              []struct {
		Value, Text string
		Hint        text
		Disabled    bool
	}
}

func checkboxes(o checkboxesOptions) (any, error) {
	legend, err := o.Fieldset.Legend.label()
	if legend.Text == "" {
		return nil, errors.New("no legend")
	}
	c := ui.Checkboxes{Legend: legend, IDPrefix: or(o.IDPrefix, o.Name), Name: o.Name, Hint: string(o.Hint), Error: string(o.ErrorMessage)}
	for _, i := range o.Items {
		c.Items = append(c.Items, ui.CheckboxItem{Value: i.Value, Text: i.Text, Hint: string(i.Hint), Disabled: i.Disabled})
	}
	return c, err
}

type summaryOptions struct {
	Heading, Description text
	ErrorList            []ui.ErrorLink
}

func errorSummary(o summaryOptions) (any, error) {
	if len(o.ErrorList) == 0 || o.Heading == "" {
		return nil, errors.New("nothing to say")
	}
	return ui.ErrorSummary{Heading: string(o.Heading), Description: string(o.Description), Errors: o.ErrorList}, nil
}

type bodyOptions struct{ Text, HTML string }

func insetText(o bodyOptions) (any, error) {
	return ui.InsetText{Text: o.Text, HTML: template.HTML(o.HTML)}, nil
}

type detailsOptions struct {
	Summary             text
	Text, HTML, Classes string
	Open                bool
}

func details(o detailsOptions) (any, error) {
	return ui.Details{Summary: string(o.Summary), Text: o.Text, HTML: template.HTML(o.HTML), Open: o.Open, Expander: o.Classes == "nhsuk-expander"}, nil
}

type listOptions struct {
	Rows []struct {
		Key   text
		Value json.RawMessage
	}
	Border, LastRowBorder *bool
}

func summaryList(o listOptions) (any, error) {
	l := ui.SummaryList{NoBorder: o.Border != nil && !*o.Border, NoLastRowBorder: o.LastRowBorder != nil && !*o.LastRowBorder}
	for _, r := range o.Rows {
		var plain string
		var v bodyOptions
		if json.Unmarshal(r.Value, &plain) == nil {
			v.Text = plain
		} else if err := strict(r.Value, &v); err != nil {
			return nil, err
		}
		l.Rows = append(l.Rows, ui.SummaryRow{Key: string(r.Key), Value: v.Text, HTML: template.HTML(v.HTML)})
	}
	return l, nil
}

type tagOptions struct{ Text, Colour string }

func tag(o tagOptions) (any, error) { return ui.Tag{Text: o.Text, Colour: o.Colour}, nil }

type panelOptions struct {
	Heading json.RawMessage
	Text    string
}

func panel(o panelOptions) (any, error) {
	p := ui.Panel{Text: o.Text}
	if json.Unmarshal(o.Heading, &p.Heading) == nil {
		return p, nil
	}
	var h struct {
		Text, Size string
		Level      int
	}
	err := strict(o.Heading, &h)
	p.Heading, p.Size, p.Level = h.Text, h.Size, h.Level
	return p, err
}

type cardOptions struct {
	Heading, Description json.RawMessage
	Variant              string
}

func card(o cardOptions) (any, error) {
	c := ui.Card{Variant: o.Variant}
	if o.Description == nil {
		return nil, errors.New("written by a call block")
	}
	if c.Variant != "" && c.Variant != "feature" && c.Variant != "secondary" {
		return nil, errors.New("a variant that we do not have")
	}
	var d text
	if err := json.Unmarshal(o.Description, &d); err != nil {
		var h struct{ HTML string }
		if err := strict(o.Description, &h); err != nil {
			return nil, err
		}
		c.HTML = template.HTML(h.HTML)
	}
	c.Text = string(d)
	if o.Heading == nil || json.Unmarshal(o.Heading, &c.Heading) == nil {
		return c, nil
	}
	var h struct {
		Text, Size string
		Level      int
	}
	err := strict(o.Heading, &h)
	c.Heading, c.Size, c.Level = h.Text, h.Size, h.Level
	return c, err
}

type linkOptions struct{ Text, Href string }

func backLink(o linkOptions) (any, error) {
	if o.Text != "" && o.Text != "Back" {
		return nil, errors.New("our back links say Back")
	}
	return or(o.Href, "#"), nil
}

func skipLink(o linkOptions) (any, error) {
	if o.Href != "#maincontent" {
		return nil, errors.New("another target")
	}
	return nil, nil
}

type headerOptions struct {
	Colour string
	Logo   struct{ Href, Src, Alt string }
}

func header(o headerOptions) (any, error) {
	if o.Logo.Src == "" {
		return nil, errors.New("the logo of a health service that is not ours to show")
	}
	return ui.Header{Colour: o.Colour, LogoSrc: o.Logo.Src, LogoAlt: o.Logo.Alt, LogoHref: o.Logo.Href}, nil
}

type footerOptions struct {
	Meta struct {
		Items []ui.Link
		Text  string
	}
	Copyright text
}

func footer(o footerOptions) (any, error) {
	return ui.Footer{Links: o.Meta.Items, Text: o.Meta.Text, Copyright: or(string(o.Copyright), "© NHS England")}, nil
}
