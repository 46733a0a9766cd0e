package ui

import (
	"bytes"
	"fmt"
	"html/template"
	"strconv"
)

// functions are what the templates can call.
func functions(set *template.Template) template.FuncMap {
	return template.FuncMap{
		// render gives a template's output to a partial's HTML parameter.
		"render": func(name string, data any) (template.HTML, error) {
			var b bytes.Buffer
			err := set.ExecuteTemplate(&b, name, data)
			return template.HTML(b.String()), err // #nosec: html/template escaped it
		},
		"itemID":     itemID,
		"heading":    heading,
		"panelClass": func(size string) string { return modified("nhsuk-panel__heading", "--", size) },
		"cardClass":  func(size string) string { return modified("nhsuk-card__heading", " nhsuk-heading-", size) },
		"button":     func(text string) Button { return Button{Text: text, PreventDoubleClick: true} },
		"linkButton": func(text, href string) Button { return Button{Text: text, Href: href} },
		"secondary": func(text, href string) Button {
			return Button{Text: text, Href: href, Variant: "secondary"}
		},
		"details": func(summary string, html template.HTML) Details { return Details{Summary: summary, HTML: html} },
		"warning": func(heading string, html template.HTML) Card {
			return Card{Heading: heading, HTML: html, Variant: "warning"}
		},
		"insetText": func(text string) InsetText { return InsetText{Text: text} },
		"secondaryButton": func(text string) Button {
			return Button{Text: text, Variant: "secondary", PreventDoubleClick: true}
		},
		"panel": func(heading, text string) Panel { return Panel{Heading: heading, Text: text} },
	}
}

// itemID names the i-th item of a group as nhsuk-frontend does: the first one
// has the group's own name, so that the error summary can lead to it.
func itemID(prefix string, i int) string {
	if i == 0 {
		return prefix
	}
	return prefix + "-" + strconv.Itoa(i+1)
}

func modified(class, joint, size string) string {
	if size == "" {
		return class
	}
	if joint == "--" {
		return class + " " + class + joint + size
	}
	return class + joint + size
}

// heading is a heading of a level that is known only at run time, which
// html/template has no way to write.
func heading(level int, class, text string) (template.HTML, error) {
	if level < 1 || level > 6 {
		return "", fmt.Errorf("no heading of level %d", level)
	}
	return template.HTML(fmt.Sprintf(`<h%d class="%s">%s</h%d>`, level, // #nosec: escaped here
		template.HTMLEscapeString(class), template.HTMLEscapeString(text), level)), nil
}
