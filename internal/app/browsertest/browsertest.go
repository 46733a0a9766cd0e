// Package browsertest walks through pages in a real browser: Debian's
// Chromium, headless, with a fresh profile, driven by chromedp; and checks
// them with axe-core against WCAG 2.2 AA.
//
// A machine without Chromium or axe-core fails the test and says what to
// install: a page that nobody looked at is not a tested page.
package browsertest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// patience is how long a page may take on a busy machine.
const patience = 60 * time.Second

// Find is the path of a Chromium that tests can drive.
func Find() (string, error) {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("no Chromium on this machine (Debian: apt-get install chromium)")
}

// Start starts a browser with a fresh profile and gives the context of its
// first tab. It ends with the test.
func Start(t testing.TB) context.Context {
	t.Helper()
	return StartWith(t)
}

// StartWith is Start with more options of the browser.
func StartWith(t testing.TB, more ...chromedp.ExecAllocatorOption) context.Context {
	t.Helper()
	path, err := Find()
	if err != nil {
		t.Fatal(err)
	}
	profile, err := os.MkdirTemp("", "latchkey-browser-")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	ctx, cancelAllocator := chromedp.NewExecAllocator(ctx, append(Options(path, profile), more...)...)
	ctx, cancelTab := chromedp.NewContext(ctx)
	t.Cleanup(func() {
		cancelTab()
		cancelAllocator()
		cancel()
		removeProfile(t, profile)
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start %s: %v", path, err)
	}
	return ctx
}

// Options start a browser that calls nobody. It has no sandbox because tests
// and containers run as root, where Chromium has none.
func Options(path, profile string) []chromedp.ExecAllocatorOption {
	return append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.UserDataDir(profile), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-component-update", true), chromedp.WSURLReadTimeout(patience))
}

// removeProfile waits for the browser's last child to let go of its files.
func removeProfile(t testing.TB, dir string) {
	deadline := time.Now().Add(10 * time.Second)
	for {
		err := os.RemoveAll(dir)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("remove the browser's profile: %v", err)
			return
		}
		time.Sleep(50 * time.Millisecond) // nothing tells when the child has ended
	}
}

// Do runs steps in a tab; a step that fails fails the test.
func Do(t testing.TB, tab context.Context, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	ctx, cancel := context.WithTimeout(tab, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		where, _ := chromedp.Run(tab, chromedp.Location())
		t.Fatalf("on %s: %v", where, err)
	}
}

// Get runs one step in a tab and gives its value.
func Get[T any](t testing.TB, tab context.Context, step chromedp.Action[T]) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(tab, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, step)
	if err != nil {
		where, _ := chromedp.Run(tab, chromedp.Location())
		t.Fatalf("on %s: %v", where, err)
	}
	return v
}

// WaitText waits until the page's main part says words.
func WaitText(t testing.TB, tab context.Context, words string) {
	t.Helper()
	WaitAny(t, tab, words)
}

// WaitAny waits until the page's main part says one of the words, and gives the
// last of them that it says.
func WaitAny(t testing.TB, tab context.Context, words ...string) string {
	t.Helper()
	quoted, _ := json.Marshal(words)
	script := `document.readyState === "complete" && document.querySelector("main") ?
		` + string(quoted) + `.findLast(w => document.querySelector("main").innerText.includes(w)) ?? "" : ""`
	ctx, cancel := context.WithTimeout(tab, patience)
	defer cancel()
	for {
		// A page on its way out answers with an error; the next one is asked again.
		if said, err := chromedp.Run(ctx, chromedp.Evaluate[string](script)); err == nil && said != "" {
			return said
		}
		select {
		case <-ctx.Done():
			text, _ := chromedp.Run(tab, chromedp.Evaluate[string](`document.body.innerText`))
			t.Fatalf("the page never said %q; it says:\n%s", words, text)
		case <-time.After(30 * time.Millisecond):
		}
	}
}

// WithoutJavaScript turns scripts off in a tab.
func WithoutJavaScript() chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := cdp.Call(ctx, tab, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		return err
	})
}

// tags are WCAG 2.2 AA and everything that it includes.
const tags = `["wcag2a","wcag2aa","wcag21a","wcag21aa","wcag22aa","best-practice"]`

// CheckAccessibility runs axe-core on the page in a tab at a desktop's
// width, and at 320 px, which is what WCAG 1.4.10 asks for and what 400 % zoom
// leaves of it. Every violation fails the test.
func CheckAccessibility(t testing.TB, tab context.Context, page string) {
	t.Helper()
	for _, width := range []int64{1280, 320} {
		Do(t, tab, chromedp.EmulateViewport(width, 900))
		if found := violations(t, tab); len(found) > 0 {
			t.Errorf("%s at %d px:\n  %s", page, width, strings.Join(found, "\n  "))
		}
		if overflow := Get(t, tab, chromedp.Evaluate[int](`document.documentElement.scrollWidth - document.documentElement.clientWidth`)); overflow > 0 {
			t.Errorf("%s at %d px is %d px too wide", page, width, overflow)
		}
	}
}

func violations(t testing.TB, tab context.Context) []string {
	t.Helper()
	if !Get(t, tab, chromedp.Evaluate[bool](`"axe" in window`)) {
		// DevTools evaluates past the page's content security policy.
		Do(t, tab, chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
			_, err := chromedp.Evaluate[bool](axe(t)+"\n;true")(ctx, target)
			return err
		}))
	}
	return Get(t, tab, chromedp.Evaluate[[]string](`axe.run(document, {runOnly: {type: "tag", values: `+tags+`}}).then(r =>
	  r.violations.map(v => v.id + ": " + v.help + " " + v.nodes.map(n => n.target.join(" ") + " " + n.html.slice(0, 150)).join(" | ")))`,
		chromedp.EvalAwaitPromise))
}

// axe reads axe-core from the nearest node_modules.
func axe(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		data, err := os.ReadFile(filepath.Join(dir, "node_modules", "axe-core", "axe.min.js"))
		if err == nil {
			return string(data)
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("axe-core is missing: run make setup")
		}
		dir = parent
	}
}

// Complaints collects what the pages of a tab write to the console, until the
// tab closes: exceptions, errors, and what the policy blocked.
func Complaints(tab context.Context) func() []string {
	var mu sync.Mutex
	var all []string
	go func() {
		for m, err := range chromedp.Console(tab) {
			if err != nil {
				return
			}
			if m.Type == chromedp.ConsoleError || m.Type == chromedp.ConsoleException || m.Type == chromedp.ConsoleWarning {
				mu.Lock()
				all = append(all, fmt.Sprintf("%s: %s (%s)", m.Type, m.Text, m.URL))
				mu.Unlock()
			}
		}
	}()
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		taken := all
		all = nil
		return taken
	}
}

// Media shows the page as a medium ("print", or "" for the screen) or with a
// feature of the system does ("forced-colors", "active").
func Media(medium, feature, value string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		p := emulation.SetEmulatedMediaParams{Media: medium}
		if feature != "" {
			p.Features = []*emulation.MediaFeature{{Name: feature, Value: value}}
		}
		_, err := cdp.Call(ctx, tab, emulation.SetEmulatedMedia, p)
		return err
	})
}

// Screenshot writes the whole page, in a window of a size, as a PNG file.
func Screenshot(t testing.TB, tab context.Context, width, height int64, file string) {
	t.Helper()
	Do(t, tab, chromedp.EmulateViewport(width, height))
	png := Get(t, tab, chromedp.FullScreenshot(100))
	if err := os.WriteFile(file, png, 0o600); err != nil {
		t.Fatal(err)
	}
}
