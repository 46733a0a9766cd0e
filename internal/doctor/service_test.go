package doctor_test

import (
	"testing"
	"time"

	"latchkey/internal/api"
	"latchkey/internal/doctor"
	"latchkey/internal/problem"
)

const untested = "not tested: This could not be tested, because of what is said above."

// TestService is every finding on the way to the service.
func TestService(t *testing.T) {
	t.Parallel()
	fails := func(c problem.Code) func(*doctor.Doctor) {
		return func(d *doctor.Doctor) { d.Service = service{address: address, err: problem.New(c)} }
	}
	says := func(change func(s *service)) func(*doctor.Doctor) {
		return func(d *doctor.Doctor) {
			s := answers()
			change(&s)
			d.Service = s
		}
	}
	off := func(by time.Duration) func(*doctor.Doctor) {
		return says(func(s *service) { s.info.Time = now.Add(by) })
	}
	text := func(level string, c problem.Code) string {
		p := problem.New(c)
		return level + " " + string(c) + ": " + p.Title + ". " + p.What()
	}
	const there = "good: https://unlock.example.org answers."
	const safe = "good: The connection is encrypted, and it is the service that this computer knows."
	const clock = "good: It agrees with the service's."
	for name, c := range map[string]struct {
		change               func(d *doctor.Doctor)
		service, safe, clock string
	}{
		"none set":       {func(d *doctor.Doctor) { d.Service = nil }, text("bad", problem.ServiceUnset), untested, untested},
		"not usable":     {func(d *doctor.Doctor) { d.Service, d.Unset = nil, problem.New(problem.ServicePlain) }, text("bad", problem.ServicePlain), untested, untested},
		"unreachable":    {fails(problem.ServiceUnreachable), text("bad", problem.ServiceUnreachable), untested, untested},
		"slow":           {fails(problem.ServiceSlow), text("bad", problem.ServiceSlow), untested, untested},
		"makes no sense": {fails(problem.ServiceAnswer), text("bad", problem.ServiceAnswer), untested, untested},
		"database gone":  {fails(problem.DatabaseGone), text("bad", problem.DatabaseGone), untested, untested},
		"certificate":    {fails(problem.ServiceCertificate), untested, text("bad", problem.ServiceCertificate), untested},
		"newer":          {says(func(s *service) { s.info.APIVersion = api.Version + 1 }), text("bad", problem.NewerService), safe, clock},
		"older":          {says(func(s *service) { s.info.APIVersion = api.Version - 1 }), there, safe, clock},
		"another key":    {says(func(s *service) { s.info.SigningKey = append(make([]byte, 31), 1) }), there, text("bad", problem.ServicePin), clock},
		"no key":         {says(func(s *service) { s.info.SigningKey = nil }), there, text("bad", problem.ServicePin), clock},
		"clock behind":   {off(5*time.Minute + time.Second), there, safe, text("bad", problem.ClockWrong)},
		"clock ahead":    {off(-time.Hour), there, safe, text("bad", problem.ClockWrong)},
		"clock just so":  {off(5 * time.Minute), there, safe, clock},
		"loopback": {says(func(s *service) { s.address = "http://127.0.0.1:8440" }), "good: http://127.0.0.1:8440 answers.",
			"good: The service is on this computer, and it is the one that this computer knows.", clock},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := healthy(t)
			if err := d.Pins.Check(address, make([]byte, 32)); err != nil { // the first visit
				t.Fatal(err)
			}
			c.change(d)
			r := report(t, d)
			for test, want := range map[string]string{"Latchkey service": c.service, "Safe connection": c.safe, "Clock": c.clock} {
				if got := find(r, test); got != want {
					t.Errorf("%s: it finds %q, want %q", test, got, want)
				}
			}
			if got := find(r, "Card reader"); got != "good: Found: Reader 1." {
				t.Errorf("the reader: %s", got)
			}
		})
	}
}

func TestBrowser(t *testing.T) {
	t.Parallel()
	d := healthy(t)
	for name, c := range map[string]struct {
		browser func() string
		want    string
	}{
		"none":      {func() string { return "" }, "warning: No browser was found that Latchkey can open its own window with. It uses the default browser, with your extensions in it."},
		"not asked": {nil, "not tested: This was not asked for."},
	} {
		d.Browser = c.browser
		if got := find(report(t, d), "Browser"); got != c.want {
			t.Errorf("%s: it finds %q", name, got)
		}
	}
}
