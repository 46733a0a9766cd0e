package demo

import (
	"html/template"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"latchkey/internal/directory"
)

func importOptions() directory.ImportOptions { return directory.ImportOptions{} }

const landingPage = `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<noscript><meta http-equiv="refresh" content="5"></noscript>
<title>Latchkey demo</title>
<style>
body { margin: 0 auto; padding: 24px; max-width: 720px; font: 18px/1.5 Arial, sans-serif; color: #212b32; background: #f0f4f5 }
a { color: #005eb8 }
a.button { display: inline-block; padding: 12px 16px; background: #007f3b; color: #fff; font-weight: bold; text-decoration: none; border-radius: 4px }
a:focus { outline: 4px solid #212b32; background: #fd0; color: #212b32 }
article { background: #fff; padding: 16px 24px; margin: 0 0 16px; border-left: 4px solid #005eb8; overflow-wrap: break-word }
li { margin-bottom: 8px; overflow-wrap: break-word } .new { border-left-color: #007f3b }
h1 { font-size: 32px } h2 { font-size: 24px } h3 { font-size: 20px; margin: 0 }
.who { color: #4c6272; margin: 0 0 8px }
pre { white-space: pre-wrap; font: inherit; margin: 0 }
</style>
</head>
<body>
<main>
<h1>Latchkey demo</h1>
<p>You are {{.Holder}}, at 3 in the morning, and your smartcard is locked. Unlock it yourself.</p>
<p><a class="button" href="/open" target="latchkey">Open Latchkey</a></p>
<ol>
<li>Choose <strong>Start now</strong>, then <strong>Email security code</strong> or <strong>Mobile phone security code</strong>.</li>
<li>Type your email address: <strong>{{.Email}}</strong>, or your mobile phone number: <strong>{{.Mobile}}</strong></li>
<li>The security code arrives in the inbox below, on this page. Type it in.</li>
<li>Choose a new passcode. The smartcard is unlocked with it.</li>
</ol>
<p>To try face verification, <a href="/photo">take a profile photo</a> first. Then choose <strong>Face verification</strong> and type your mobile phone number.</p>
<p class="who">The smartcard is a card in software, {{.How}}. Nothing leaves this computer. Press Ctrl-C where you started the demo to end it.</p>
<h2>Your inbox</h2>
<div id="inbox" aria-live="polite">
{{range $i, $m := .Messages}}<article{{if eq $i 0}} class="new"{{end}}>
<h3>{{.Title}}</h3>
<p class="who">To {{.To}}, at {{.At.Format "15:04:05"}}</p>
<pre>{{.Text}}</pre>
</article>
{{else}}<p>No messages yet. New ones come up here by themselves.</p>
{{end}}</div>
</main>
<script src="/inbox.js"></script>
</body>
</html>
`

// inboxScript brings new messages into the page and leaves the rest of it, and
// the reader's place in it, alone.
const inboxScript = `const inbox = document.getElementById("inbox");
setInterval(async () => {
  try {
    const page = new DOMParser().parseFromString(await (await fetch("/")).text(), "text/html");
    const now = page.getElementById("inbox").innerHTML;
    if (now !== inbox.innerHTML) inbox.innerHTML = now;
  } catch { /* the demo has ended */ }
}, 1000);
`

// message is an email or a text message in the inbox.
type message struct {
	Title, To, Text string
	At              time.Time
}

// messages are all that came, the newest first.
func (d *demo) messages() []message {
	var all []message
	for _, m := range d.mail.Messages() {
		all = append(all, message{m.Subject, strings.Join(m.To, ", "), m.Text, m.At})
	}
	for _, m := range d.texts.Messages() {
		all = append(all, message{"Text message from " + m.Sender, m.To, m.Body, m.At})
	}
	slices.SortStableFunc(all, func(a, b message) int { return b.At.Compare(a.At) })
	return all
}

// pages are the demo's own: what to do, and the inbox.
func (d *demo) pages(launch, origin string) http.Handler {
	page := template.Must(template.New("demo").Parse(landingPage))
	var opened atomic.Bool
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; script-src 'self'; connect-src 'self'")
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Referrer-Policy", "no-referrer")
		_ = page.Execute(w, struct { // the browser may be gone
			Holder, Email, Mobile, How string
			Messages                   []message
		}{holderName, Email, Mobile, d.how, d.messages()})
	})
	mux.HandleFunc("GET /inbox.js", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
		_, _ = w.Write([]byte(inboxScript)) // the browser may be gone
	})
	d.photoPages(mux)
	// The launch address works once; whoever used it is let in afterwards.
	mux.HandleFunc("GET /open", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Referrer-Policy", "no-referrer")
		to := launch
		if opened.Swap(true) {
			to = origin
		}
		http.Redirect(w, r, to, http.StatusSeeOther)
	})
	return mux
}
