package app

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"latchkey/internal/app/browsertest"
	"latchkey/internal/doctor"
	"latchkey/internal/problem"
	"latchkey/internal/ui"
)

// screenshots is the folder for pictures of every scene; "" for none.
var screenshots = os.Getenv("LATCHKEY_SCREENSHOTS")

// picture saves how a page looks on a desktop and on a phone.
func picture(t *testing.T, tab context.Context, name string) {
	if screenshots == "" {
		return
	}
	browsertest.Screenshot(t, tab, 1280, 900, filepath.Join(screenshots, name+"-1280.png"))
	browsertest.Screenshot(t, tab, 360, 740, filepath.Join(screenshots, name+"-360.png"))
}

// enact brings a page into the state of a scene.
func (x *site) enact(t *testing.T, tab context.Context, sc scene) {
	t.Helper()
	x.engine.set(func(v *View) { *v = sc.view })
	x.engine.see(sc.status)
	x.engine.fail = sc.fail
	x.server.doctor = func(context.Context) doctor.Report {
		if sc.report != nil {
			return *sc.report
		}
		return exampleReport()
	}
	browsertest.Do(t, tab, chromedp.EmulateViewport(1280, 900), chromedp.Navigate(x.server.gate.origin+sc.path))
	if sc.post != nil {
		for field, value := range sc.post {
			browsertest.Do(t, tab, chromedp.SendKeys(chromedp.CSS(field), value))
		}
		form := sc.form
		if form == "" {
			form = "main form"
		}
		// In one step: the page's live part may be replaced at any time.
		browsertest.Get(t, tab, chromedp.Evaluate[bool](`(document.querySelector('`+form+`').requestSubmit(), true)`))
	}
	browsertest.WaitText(t, tab, sc.words)
}

// inspection is what every page is asked.
const inspection = `(() => {
	const faults = [];
	const h1 = document.querySelectorAll("h1");
	if (h1.length !== 1) faults.push(h1.length + " headings of the first level");
	else if (!document.title.includes(h1[0].innerText.trim().replace(/\s+/g, " "))) faults.push("its title is " + document.title);
	if (document.documentElement.lang !== "en") faults.push("it has no language");
	const summary = document.querySelector(".nhsuk-error-summary");
	if (!!summary !== document.title.startsWith("Error: ")) faults.push("its title is " + document.title);
	if (summary) {
		if (document.activeElement !== summary) faults.push("the error summary does not have the focus");
		const links = [...summary.querySelectorAll("li a")];
		if (!links.length || summary.querySelectorAll("li").length !== links.length) faults.push("an error leads to no field");
		for (const a of links) {
			const field = document.querySelector(a.getAttribute("href"));
			const group = field && field.closest(".nhsuk-form-group--error");
			if (!group || !group.innerText.includes(a.innerText)) faults.push("the error is not beside its field: " + a.innerText);
		}
	}
	for (const input of document.querySelectorAll("input[type=password], #code, #email")) {
		if (input.spellcheck) faults.push("#" + input.id + " is spelling-checked");
		if (input.type === "password" && input.autocomplete !== "off") faults.push("#" + input.id + " is filled in");
		if (input.onpaste || input.maxLength > 0) faults.push("#" + input.id + " may cut off what is pasted");
	}
	const code = document.querySelector("#code");
	if (code && (code.autocomplete !== "one-time-code" || code.inputMode !== "numeric")) faults.push("the code field does not say that it is one");
	if (!document.querySelector("main a, main button, nav a, .lk-step--now")) faults.push("it is a dead end");
	if (!document.querySelector("footer").innerText.includes("020 7946 0000")) faults.push("it does not say who can help");
	if (document.querySelectorAll("[style], style, script:not([src])").length) faults.push("it has styles or scripts in it");
	return faults;
})()`

// TestEveryPage looks at every page in every state: with axe-core at a
// desktop's and a phone's width, and for what axe-core does not see. With
// LATCHKEY_SCREENSHOTS naming a folder it leaves pictures there.
func TestEveryPage(t *testing.T) {
	x := newBrowserSite(t)
	tab := browsertest.Start(t)
	complaints := browsertest.Complaints(tab)
	browsertest.Do(t, tab, chromedp.Navigate(x.server.gate.launchAddress()))
	browsertest.WaitText(t, tab, "Unlock your smartcard")
	for _, sc := range scenes() {
		x.enact(t, tab, sc)
		for _, fault := range browsertest.Get(t, tab, chromedp.Evaluate[[]string](inspection)) {
			t.Errorf("%s: %s", sc.name, fault)
		}
		browsertest.CheckAccessibility(t, tab, sc.name)
		for _, c := range complaints() {
			// The browser says of a page with status 404 that it has it.
			if !strings.Contains(c, "404") {
				t.Errorf("%s: the console says %s", sc.name, c)
			}
		}
		picture(t, tab, sc.name)
	}
}

// TestOpenDetails looks at what opens on demand.
func TestOpenDetails(t *testing.T) {
	x := newBrowserSite(t)
	tab := browsertest.Start(t)
	browsertest.Do(t, tab, chromedp.Navigate(x.server.gate.launchAddress()))
	browsertest.WaitText(t, tab, "Unlock your smartcard")
	for _, sc := range proofScenes() {
		if sc.name != "email" && sc.name != "code" && sc.name != "code-resend-later" {
			continue
		}
		x.enact(t, tab, sc)
		browsertest.Do(t, tab, chromedp.Click(chromedp.CSS("summary")))
		browsertest.CheckAccessibility(t, tab, sc.name+" opened")
		picture(t, tab, sc.name+"-opened")
	}
}

// pick finds scenes by their names.
func pick(t *testing.T, names ...string) (out []scene) {
	t.Helper()
	for _, sc := range scenes() {
		if slices.Contains(names, sc.name) {
			out = append(out, sc)
		}
	}
	if len(out) != len(names) {
		t.Fatalf("%d scenes of %v", len(out), names)
	}
	return out
}

// TestLongNameAndForcedColours shows an organisation with a long name, and
// colours that the system chose.
func TestLongNameAndForcedColours(t *testing.T) {
	x := newBrowserSiteWith(t, func(c *Config) {
		c.Organisation = "Mid and South Example University Hospitals Foundation Trust and Community Services"
	})
	tab := browsertest.Start(t)
	browsertest.Do(t, tab, chromedp.Navigate(x.server.gate.launchAddress()))
	browsertest.WaitText(t, tab, "Unlock your smartcard")
	for _, sc := range pick(t, "start-two", "start-locked", "code-error", "working") {
		x.enact(t, tab, sc)
		browsertest.CheckAccessibility(t, tab, sc.name+" of a long name")
		picture(t, tab, sc.name+"-long-name")
		browsertest.Do(t, tab, browsertest.Media("", "forced-colors", "active"))
		browsertest.CheckAccessibility(t, tab, sc.name+" in forced colours")
		picture(t, tab, sc.name+"-forced-colours")
		browsertest.Do(t, tab, browsertest.Media("", "", ""))
	}
}

// TestPrintedReport is for the person who brings the report to the help desk.
func TestPrintedReport(t *testing.T) {
	x := newBrowserSite(t)
	tab := browsertest.Start(t)
	browsertest.Do(t, tab, chromedp.Navigate(x.server.gate.launchAddress()))
	browsertest.WaitText(t, tab, "Unlock your smartcard")
	for _, sc := range pick(t, "troubleshooting-two", "troubleshooting-good") {
		x.enact(t, tab, sc)
		browsertest.Do(t, tab, browsertest.Media("print", "", ""))
		for _, hidden := range []string{"header", "footer", "[data-copy]"} {
			if shown := browsertest.Get(t, tab, chromedp.Evaluate[bool](`document.querySelector("`+hidden+`").offsetHeight > 0`)); shown {
				t.Errorf("%s: %s is printed", sc.name, hidden)
			}
		}
		picture(t, tab, sc.name+"-printed")
		browsertest.Do(t, tab, browsertest.Media("", "", ""))
	}
}

// TestSlowTests: the page says that it is testing, and goes on by itself.
func TestSlowTests(t *testing.T) {
	x := newBrowserSite(t)
	finish := make(chan struct{})
	x.server.doctor = func(context.Context) doctor.Report {
		<-finish
		return exampleReport()
	}
	tab := browsertest.Start(t)
	browsertest.Do(t, tab, chromedp.Navigate(x.server.gate.launchAddress()))
	browsertest.WaitText(t, tab, "Unlock your smartcard")
	browsertest.Do(t, tab, chromedp.Navigate(x.server.gate.origin+"/troubleshooting"))
	browsertest.WaitText(t, tab, "We are testing")
	browsertest.CheckAccessibility(t, tab, "testing")
	picture(t, tab, "testing")
	close(finish)
	browsertest.WaitText(t, tab, "One thing is not working: the card reader")
	browsertest.Do(t, tab, chromedp.Reload()) // tests again
	browsertest.WaitText(t, tab, "One thing is not working: the card reader")
	browsertest.Do(t, tab, chromedp.NavigateBack())
	browsertest.WaitText(t, tab, "Your smartcard locks when")
}

// TestLogo shows the organisation's logo.
func TestLogo(t *testing.T) {
	x := newBrowserSiteWith(t, func(c *Config) {
		c.Logo = &ui.Logo{Type: "image/svg+xml", Data: []byte(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 280 40">
			<rect width="280" height="40" fill="#005eb8"/><circle cx="20" cy="20" r="12" fill="#fff"/></svg>`)}
	})
	tab := browsertest.Start(t)
	browsertest.Do(t, tab, chromedp.Navigate(x.server.gate.launchAddress()))
	browsertest.WaitText(t, tab, "Unlock your smartcard")
	for _, sc := range pick(t, "start-locked", "passcode-mismatch") {
		x.enact(t, tab, sc)
		if width := browsertest.Get(t, tab, chromedp.Evaluate[int](`document.querySelector("header img").naturalWidth`)); width == 0 {
			t.Error("the logo is not shown")
		}
		browsertest.CheckAccessibility(t, tab, sc.name+" with a logo")
		picture(t, tab, sc.name+"-logo")
	}
}

// TestPagesWithoutJavaScript shows the way on where scripts are off.
func TestPagesWithoutJavaScript(t *testing.T) {
	x := newBrowserSite(t)
	tab := browsertest.Start(t)
	browsertest.Do(t, tab, chromedp.Navigate(x.server.gate.launchAddress()))
	browsertest.WaitText(t, tab, "Unlock your smartcard")
	browsertest.Do(t, tab, browsertest.WithoutJavaScript())
	for _, sc := range pick(t, "start-no-card", "forgotten", "passcode", "working-card-pulled", "troubleshooting-one", "change-no-card", "face-no-camera", "face-instructions", "troubleshooting-camera") {
		x.engine.set(func(v *View) { *v = sc.view })
		x.engine.see(sc.status)
		browsertest.Do(t, tab, chromedp.Navigate(x.server.gate.origin+sc.path))
		picture(t, tab, sc.name+"-without-javascript")
		ways := browsertest.Get(t, tab, chromedp.Evaluate[int](`[...document.querySelectorAll("main a, main button")].filter(e => e.offsetHeight > 0).length`))
		if ways == 0 {
			t.Errorf("%s: no way on", sc.name)
		}
	}
}

// TestEveryProblem shows each code of the catalogue as the end of a session,
// and as what stopped its start: what happened, what to do, the code, who can
// help, and a way on.
func TestEveryProblem(t *testing.T) {
	x := newSite(t)
	c := x.launched()
	for _, e := range problem.Catalogue() {
		p := problem.New(e.Code)
		words := []string{e.Title, e.Detail, e.Next, string(e.Code), "What to do next", "020 7946 0000"}
		x.engine.set(func(v *View) { *v = View{Step: StepEnded, Ends: start.Add(1), Problem: p} })
		c.get("/problem").on("/problem", words...)
		if !strings.Contains(c.body, `action="/leave"`) {
			t.Errorf("%s: no way to leave the session that has ended", e.Code)
		}
		x.engine.set(func(v *View) { *v = View{} })
		x.engine.fail = map[string]error{"start": p}
		c.post("/start", map[string][]string{"reader": {"Reader 1"}})
		if e.Code != problem.SeveralCards {
			c.on("/problem", words...)
		}
		if !strings.Contains(c.body, "nhsuk-button") {
			t.Errorf("%s: a dead end", e.Code)
		}
	}
}
