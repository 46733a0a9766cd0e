package app

import (
	"context"
	"net/http"
	"time"

	"latchkey/internal/api"
	"latchkey/internal/doctor"
	"latchkey/internal/problem"
	"latchkey/internal/ui"
)

// DoctorFunc tests everything on this computer that an unlock needs.
type DoctorFunc func(ctx context.Context) doctor.Report

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
	return findingPart{Tag: tag, Detail: f.Detail, Next: f.Next, Code: f.Code}
}

func verdict(r doctor.Report) string {
	for _, level := range []doctor.Level{doctor.LevelBad, doctor.LevelWarning} {
		for _, f := range r.Findings {
			if f.Level != level {
				continue
			}
			if level == doctor.LevelBad {
				return "Something is not working. What to do is said beside it."
			}
			return "Smartcards can be unlocked on this computer, but something needs attention."
		}
	}
	return "Everything that we could test is working."
}
