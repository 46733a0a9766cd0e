package app

import (
	"context"
	"fmt"
	"net/http"
	"strings"
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
	Verdict statusBox
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
