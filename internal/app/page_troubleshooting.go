package app

import (
	"context"
	"net/http"
	"time"

	"latchkey/internal/api"
	"latchkey/internal/problem"
	"latchkey/internal/ui"
)

// DoctorFunc tests everything on this computer that an unlock needs.
type DoctorFunc func(ctx context.Context) Report

// Report is what the tests found.
type Report struct {
	Findings []Finding
	Text     string // the whole report to copy, without anything secret
}

// Finding is the outcome of one test.
type Finding struct {
	Name   string // "Card reader"
	Level  Level
	Detail string
	Next   string       // what to do, where something is wrong
	Code   problem.Code // "" where nothing is wrong
}

// Level is how good or bad a finding is.
type Level string

// The levels.
const (
	LevelGood    Level = "good"
	LevelWarning Level = "warning"
	LevelBad     Level = "bad"
	LevelUnknown Level = "not tested"
)

// doctorPatience is how long the page waits for the tests.
const doctorPatience = 20 * time.Second

// troubleshootingBody is what troubleshooting.html shows.
type troubleshootingBody struct {
	Verdict string
	List    ui.SummaryList
	Report  string
	Contact *api.Contact
}

func (s *server) troubleshootingPage(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), doctorPatience)
	defer cancel()
	report := s.doctor(ctx)
	body := troubleshootingBody{Verdict: verdict(report), Report: report.Text, Contact: s.contact()}
	for _, f := range report.Findings {
		html, err := s.pages.Part("troubleshooting", "finding", finding(f))
		if err != nil {
			s.stopped(w, r, "/", err)
			return
		}
		body.List.Rows = append(body.List.Rows, ui.SummaryRow{Key: f.Name, HTML: html})
	}
	s.render(w, r, http.StatusOK, "troubleshooting", ui.Page{Title: "Check this computer", Back: "/", Body: body, Timer: s.timer(s.view())})
}

type findingPart struct {
	Tag          ui.Tag
	Detail, Next string
	Code         problem.Code
}

func finding(f Finding) findingPart {
	tag := ui.Tag{Text: "Not tested", Colour: "grey"}
	switch f.Level {
	case LevelGood:
		tag = ui.Tag{Text: "Good", Colour: "green"}
	case LevelWarning:
		tag = ui.Tag{Text: "Check this", Colour: "yellow"}
	case LevelBad:
		tag = ui.Tag{Text: "Not working", Colour: "red"}
	}
	return findingPart{Tag: tag, Detail: f.Detail, Next: f.Next, Code: f.Code}
}

func verdict(r Report) string {
	for _, level := range []Level{LevelBad, LevelWarning} {
		for _, f := range r.Findings {
			if f.Level != level {
				continue
			}
			if level == LevelBad {
				return "Something is not working. What to do is said beside it."
			}
			return "Smartcards can be unlocked on this computer, but something needs attention."
		}
	}
	return "Everything that we could test is working."
}
