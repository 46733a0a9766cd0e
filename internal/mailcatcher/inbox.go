package mailcatcher

import (
	"html/template"
	"net/http"
	"slices"
)

const inboxPage = `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="2">
<title>Demo inbox</title>
<style>
body { margin: 0 auto; padding: 24px; max-width: 720px; font: 18px/1.5 Arial, sans-serif; color: #212b32; background: #f0f4f5 }
article { background: #fff; padding: 16px 24px; margin: 0 0 16px; border-left: 4px solid #005eb8 }
h2 { font-size: 20px; margin: 0 }
.who { color: #4c6272; margin: 0 0 8px }
pre { white-space: pre-wrap; font: inherit; margin: 0 }
</style>
</head>
<body>
<main>
<h1>Demo inbox</h1>
<p>Messages that the demonstration sends end up here. Nothing leaves this computer.</p>
{{range .}}<article>
<h2>{{.Subject}}</h2>
<p class="who">To {{range $i, $to := .To}}{{if $i}}, {{end}}{{$to}}{{end}}, at {{.At.Format "15:04:05"}}</p>
<pre>{{.Text}}</pre>
</article>
{{else}}<p>No messages yet. This page looks for new ones by itself.</p>
{{end}}</main>
</body>
</html>
`

// Inbox shows the messages, the newest first.
func (c *Catcher) Inbox() http.Handler {
	page := template.Must(template.New("inbox").Parse(inboxPage))
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
		w.Header().Set("Cache-Control", "no-store")
		messages := c.Messages()
		slices.Reverse(messages)
		_ = page.Execute(w, messages) // the browser may be gone
	})
}
