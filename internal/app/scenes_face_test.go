package app

import (
	"latchkey/internal/api"
	"latchkey/internal/doctor"
	"latchkey/internal/journey"
	"latchkey/internal/problem"
)

func faceScenes() []scene {
	face := func(f journey.Face) View {
		v := readyToScan()
		v.Face = f
		return v
	}
	failed := func(p *problem.Problem) View { return face(journey.Face{State: journey.FaceFailed, Problem: p}) }
	wait, busy := 30, problem.New(problem.FaceWait)
	busy.RetryAfter = &wait
	fresh := atWith(StepMethod, func(v *View) {
		v.Methods[2] = api.MethodStatus{Method: api.MethodFace, Available: true}
	})
	testable := doctor.Report{Text: "Camera: not tested. It can be tested in Latchkey's window alone.\n", Findings: []doctor.Finding{
		{Name: "Smartcard service", Level: doctor.LevelGood, Detail: "It is running."},
		{Name: "Camera", Level: doctor.LevelUnknown, Detail: "Face verification needs one. It can be tested in Latchkey's window alone.", InPage: true},
	}}
	return []scene{
		{name: "method-face", path: "/method", words: "We compare your face with the photo", view: fresh},
		{name: "face-number", path: "/face", words: "What is your mobile phone number?", view: fresh},
		{name: "face-number-empty", path: "/face", words: "Enter your mobile phone number", view: fresh, post: map[string]string{}},
		{name: "face-number-error", path: "/face", words: "in the right form", view: fresh, post: map[string]string{"#mobile": "sam@example.org"}},
		{name: "face-instructions", path: "/face/instructions", words: "Before you scan your face", view: face(journey.Face{})},
		{name: "face-instructions-error", path: "/face/instructions", words: "There is a problem", view: face(journey.Face{}), post: map[string]string{}},
		{name: "face-no-consent", path: "/face/scan", words: "Before you scan your face", view: face(journey.Face{})},
		{name: "face-no-camera", path: "/face/scan", words: "LK-11", view: readyToScan()},
		{name: "face-failed", path: "/face/failed", words: "Move closer", view: failed(problem.New(problem.FaceFar))},
		{name: "face-failed-not-verified", path: "/face/failed", words: "We could not verify you", view: failed(problem.New(problem.FaceNotVerified))},
		{name: "face-failed-held", path: "/face/failed", words: "on hold for you", view: failed(problem.New(problem.FaceHeld))},
		{name: "face-failed-wait", path: "/face/failed", words: "You can try again in 30 seconds", view: failed(busy)},
		{name: "face-failed-final", path: "/face/failed", words: "Self-service is on hold", view: failed(problem.New(problem.HolderFailures))},
		{name: "face-elsewhere", path: "/face/elsewhere", words: "in another window",
			view: face(journey.Face{State: journey.FaceElse, Scan: "1", Page: "https://faces.example.test/scan/1"})},
		{name: "face-carry-on", path: "/", words: "You have started already", view: readyToScan(), status: oneCard(CardLocked)},
		{name: "troubleshooting-camera", path: "/troubleshooting", words: "Test the camera", report: &testable},
	}
}
