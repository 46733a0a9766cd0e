package app

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"latchkey/internal/api"
	"latchkey/internal/doctor"
	"latchkey/internal/problem"
	"latchkey/internal/ui"
)

// DoctorFunc tests everything on this computer that an unlock needs.
type DoctorFunc func(ctx context.Context) doctor.Report

// doctorPatience is how long the tests may take.
const doctorPatience = 20 * time.Second

// troubleshootingBody is what troubleshooting.html shows.
type troubleshootingBody struct {
	Verdict statusBox
	List    ui.SummaryList
	Report  string
	Contact *api.Contact
	Faults  []cameraFault // for the page's own test of the camera; empty where there is none
}

// promptly is how long an answer may take before a page says what it waits
// for. The tests take that long when the service does not answer.
const promptly = time.Second

// checkup is one run of the tests.
type checkup struct {
	id     string
	done   chan struct{} // closed when report is there
	report doctor.Report
}

// checkups are the runs whose report nobody has seen yet.
type checkups struct {
	mu   sync.Mutex
	runs []*checkup
}

// keptCheckups is how many runs are kept.
const keptCheckups = 8

func (c *checkups) start(test func() doctor.Report) *checkup {
	run := &checkup{id: random(8), done: make(chan struct{})}
	c.mu.Lock()
	c.runs = append(c.runs, run)
	if over := len(c.runs) - keptCheckups; over > 0 {
		c.runs = slices.Delete(c.runs, 0, over)
	}
	c.mu.Unlock()
	go func() {
		defer close(run.done)
		run.report = test()
	}()
	return run
}

// find gives the run that a request names, nil where there is none.
func (c *checkups) find(r *http.Request) *checkup {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, run := range c.runs {
		if run.id == r.URL.Query().Get("run") {
			return run
		}
	}
	return nil
}

// seen forgets a run: loading its page again tests again.
func (c *checkups) seen(run *checkup) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.runs = slices.DeleteFunc(c.runs, func(other *checkup) bool { return other == run })
}

func (run *checkup) address() string { return "/troubleshooting?run=" + run.id }

func (s *server) troubleshootingPage(w http.ResponseWriter, r *http.Request) {
	run := s.checkups.find(r)
	fresh := run == nil
	if fresh {
		run = s.checkups.start(func() doctor.Report {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), doctorPatience)
			defer cancel()
			return s.doctor(ctx)
		})
	}
	select {
	case <-run.done:
		s.checkups.seen(run)
		s.showReport(w, r, run.report)
	case <-time.After(promptly):
		if fresh {
			http.Redirect(w, r, run.address(), http.StatusSeeOther)
			return
		}
		s.render(w, r, http.StatusOK, "testing", ui.Page{Title: "Testing this computer", Back: "/", Live: "testing",
			Refresh: refreshSeconds, Timer: s.timer(s.view())})
	case <-r.Context().Done():
	}
}

func (s *server) showReport(w http.ResponseWriter, r *http.Request, report doctor.Report) {
	body := troubleshootingBody{Verdict: verdict(report), Report: report.Text, Contact: s.contact()}
	page := ui.Page{Title: "Check this computer", Back: "/", Timer: s.timer(s.view())}
	for _, f := range report.Findings {
		if f.InPage {
			w.Header().Set("Permissions-Policy", cameraPolicy)
			body.Faults, page.Script = cameraFaults(), "camera/test.js"
		}
		html, err := s.pages.Part("troubleshooting", "finding", finding(f))
		if err != nil {
			s.stopped(w, r, "/", err)
			return
		}
		body.List.Rows = append(body.List.Rows, ui.SummaryRow{Key: f.Name, HTML: html})
	}
	page.Body = body
	s.render(w, r, http.StatusOK, "troubleshooting", page)
}

type findingPart struct {
	Tag          ui.Tag
	Detail, Next string
	Code         problem.Code
	InPage       bool // the page's script tests it
}

func finding(f doctor.Finding) findingPart {
	tag := ui.Tag{Text: "Not tested", Colour: "grey"}
	switch f.Level {
	case doctor.LevelGood:
		tag = ui.Tag{Text: "Good", Colour: "green"}
	case doctor.LevelWarning:
		tag = ui.Tag{Text: "Check this", Colour: "yellow"}
	case doctor.LevelBad:
		tag = ui.Tag{Text: "Not working", Colour: "red"}
	}
	return findingPart{Tag: tag, Detail: f.Detail, Next: f.Next, Code: f.Code, InPage: f.InPage}
}

// verdict says whether this computer can be used and, where it cannot, what to
// put right first: what comes after often depends on it.
func verdict(r doctor.Report) statusBox {
	var wrong, warned []doctor.Finding
	for _, f := range r.Findings {
		switch f.Level {
		case doctor.LevelBad:
			wrong = append(wrong, f)
		case doctor.LevelWarning:
			warned = append(warned, f)
		}
	}
	switch {
	case len(wrong) == 1:
		return statusBox{Kind: "wrong", Title: "One thing is not working: " + lowerFirst(wrong[0].Name), Detail: wrong[0].Detail, Next: wrong[0].Next}
	case len(wrong) > 1:
		return statusBox{Kind: "wrong", Title: fmt.Sprintf("%d things are not working", len(wrong)),
			Detail: "Start with " + lowerFirst(wrong[0].Name) + ". " + wrong[0].Detail, Next: wrong[0].Next}
	case len(warned) > 0:
		return statusBox{Kind: "ready", Title: "You can unlock a smartcard on this computer",
			Detail: "Something needs attention soon: " + lowerFirst(warned[0].Name) + ". See below."}
	}
	return statusBox{Kind: "ready", Title: "Everything that we could test is working"}
}

// lowerFirst puts a finding's name into the middle of a sentence. Names of
// more than one capital, and that of the product, stay.
func lowerFirst(s string) string {
	if strings.HasPrefix(s, "Latchkey") {
		return "the " + s
	}
	return "the " + strings.ToLower(s[:1]) + s[1:]
}
