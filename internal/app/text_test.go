package app

import (
	"html"
	"regexp"
	"strings"
)

var (
	headOf = regexp.MustCompile(`(?s)<head>.*?</head>|<footer.*</footer>|<script.*?</script>`)
	tagOf  = regexp.MustCompile(`<[^>]*>`)
	blanks = regexp.MustCompile(`\s+`)
)

// text is what the page says.
func (c *client) text() string {
	s := tagOf.ReplaceAllString(headOf.ReplaceAllString(c.body, " "), " ")
	return strings.TrimSpace(blanks.ReplaceAllString(html.UnescapeString(s), " "))
}
