package ui

import (
	"html/template"
	"strings"
)

// The parameters of the partials in templates/components.html. Each is named
// after the nhsuk-frontend component that it renders, and holds those of the
// component's options that our pages use.

// Label is a label or a legend. As a heading it is the page's h1.
type Label struct {
	Text    string
	Size    string // "", "s", "m", "l", "xl"
	Heading bool
}

// Button is a button, or with Href a link that looks like one.
type Button struct {
	Text               string
	Href               string
	Variant            string // "", "secondary", "warning", "reverse", "login"
	Name, Value        string
	Small              bool
	Disabled           bool
	PreventDoubleClick bool
}

// Input is a text field.
type Input struct {
	Label        Label
	ID, Name     string
	Hint, Error  string
	Value        string
	Type         string // "" is "text"
	Autocomplete string
	InputMode    string
	Width        int // characters: 2, 3, 4, 5, 10, 20, 30; 0 is the whole width
	Code         bool
	NoSpellcheck bool
}

// DescribedBy are the ids of the field's hint and error.
func (i Input) DescribedBy() string { return describedBy(i.ID, i.Hint, i.Error) }

// PasswordInput is a field whose text can be shown and hidden. It has no
// value: what was typed never goes back into a page.
type PasswordInput struct {
	Label        Label
	ID, Name     string
	Hint, Error  string
	Autocomplete string // "" is "current-password"
	InputMode    string
	Width        int
	Code         bool
	Words        ShowHide
}

// ShowHide are the words of a PasswordInput's button, for those that differ
// from the design system's own ("Show password").
type ShowHide struct {
	ShowLabel, HideLabel string // what screen readers call the button
	Shown, Hidden        string // what they announce
}

// ShowHidePasscode are the words for the passcode that a label names.
func ShowHidePasscode(label string) ShowHide {
	return ShowHide{
		ShowLabel: "Show " + lowerFirst(label), HideLabel: "Hide " + lowerFirst(label),
		Shown: "Your passcode is shown", Hidden: "Your passcode is hidden",
	}
}

func lowerFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}

// DescribedBy are the ids of the field's hint and error.
func (p PasswordInput) DescribedBy() string { return describedBy(p.ID, p.Hint, p.Error) }

// Radios is a choice of one.
type Radios struct {
	Legend         Label
	IDPrefix, Name string
	Hint, Error    string
	Value          string // the chosen item's
	Items          []RadioItem
}

// DescribedBy are the ids of the group's hint and error.
func (r Radios) DescribedBy() string { return describedBy(r.IDPrefix, r.Hint, r.Error) }

// RadioItem is one choice.
type RadioItem struct {
	Value, Text string
	Hint        string
	Disabled    bool
}

// Checkboxes is a choice of any number; here most often one to agree to.
type Checkboxes struct {
	Legend         Label
	IDPrefix, Name string
	Hint, Error    string
	Items          []CheckboxItem
}

// DescribedBy are the ids of the group's hint and error.
func (c Checkboxes) DescribedBy() string { return describedBy(c.IDPrefix, c.Hint, c.Error) }

// CheckboxItem is one choice.
type CheckboxItem struct {
	Value, Text string
	Hint        string
	Disabled    bool
}

// ErrorSummary says at the top of a page what is wrong on it.
type ErrorSummary struct {
	Heading     string
	Description string
	Errors      []ErrorLink
}

// ErrorLink is one error; Href leads to its field ("#email").
type ErrorLink struct {
	Text string
	Href string
}

// InsetText is text that stands out.
type InsetText struct {
	Text string
	HTML template.HTML
}

// Details is text that opens on demand; as an Expander it has a frame.
type Details struct {
	Summary  string
	Text     string
	HTML     template.HTML
	Open     bool
	Expander bool
}

// SummaryList is a list of names and values.
type SummaryList struct {
	Rows            []SummaryRow
	NoBorder        bool
	NoLastRowBorder bool
}

// SummaryRow is one line of a SummaryList.
type SummaryRow struct {
	Key   string
	Value string
	HTML  template.HTML // in place of Value
}

// Tag is a status in a word or two.
type Tag struct {
	Text   string
	Colour string // "", "white", "grey", "green", "blue", "red", "orange", "yellow", ...
}

// Panel says that something is done.
type Panel struct {
	Heading string
	Level   int // of the heading; 0 is 1
	Size    string
	Text    string
}

// Card is a framed piece of a page.
type Card struct {
	Heading string
	Level   int // of the heading; 0 is 2
	Size    string
	Variant string // "", "feature", "secondary", "warning"
	HTML    template.HTML
	Text    string
}

// Header is the head of every page.
type Header struct {
	Colour       string // "" is blue; "white" for logos made for white
	Organisation string // shown where there is no logo
	LogoSrc      string
	LogoAlt      string
	LogoHref     string
	Service      string
	ServiceHref  string
}

// LogoName is what the logo's link is called.
func (h Header) LogoName() string { return h.LogoAlt + " homepage" }

// Footer is the foot of every page.
type Footer struct {
	Links []Link
	Text  string
	// Copyright is the last line.
	Copyright string
}

// Link is a link.
type Link struct{ Href, Text string }

func describedBy(id, hint, err string) string {
	switch {
	case hint != "" && err != "":
		return id + "-hint " + id + "-error"
	case hint != "":
		return id + "-hint"
	case err != "":
		return id + "-error"
	}
	return ""
}
