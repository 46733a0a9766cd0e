package daemon

import (
	"strings"
	"testing"

	"latchkey/internal/api"
	"latchkey/internal/config"
	"latchkey/internal/problem"
)

// faceStatus is what a running service says of face verification.
func faceStatus(t *testing.T, r *running) api.MethodStatus {
	t.Helper()
	client, err := api.NewClient("http://"+r.address, nil)
	must(t, err)
	info, err := client.Service(t.Context())
	must(t, err)
	for _, m := range info.Methods {
		if m.Method == api.MethodFace {
			return m
		}
	}
	t.Fatal("face verification is not listed")
	return api.MethodStatus{}
}

// TestFaceOfTheService: what is offered, with which notice, and what the log
// says. A service that cannot look at faces starts all the same.
func TestFaceOfTheService(t *testing.T) {
	for name, k := range map[string]struct {
		set    func(*config.Config)
		want   api.MethodStatus
		logged string
	}{
		"off":             {func(*config.Config) {}, api.MethodStatus{Notice: notOffered}, ""},
		"off with words":  {func(c *config.Config) { c.FaceNotice = "Back soon." }, api.MethodStatus{Notice: "Back soon."}, ""},
		"on":              {func(c *config.Config) { c.FaceEnabled = true }, api.MethodStatus{Available: true}, "nobody has a profile photo"},
		"on with words":   {func(c *config.Config) { c.FaceEnabled, c.FaceNotice = true, "New." }, api.MethodStatus{Available: true, Notice: "New."}, "face verification is ready"},
		"without runtime": {func(c *config.Config) { c.FaceEnabled, c.FaceRuntime = true, "none.so" }, api.MethodStatus{Notice: notHere}, string(problem.FaceUnavailable)},
		"aws": {func(c *config.Config) {
			c.FaceEnabled, c.FaceProvider, c.FaceAWSRegion, c.FacePage = true, config.FaceAWS, "eu-west-1", "https://face.example.org"
		}, api.MethodStatus{Available: true}, "provider=aws"},
	} {
		t.Run(name, func(t *testing.T) {
			c := fresh(t)
			k.set(c)
			must(t, c.Validate())
			r := serveFor(t, c)
			k.want.Method = api.MethodFace
			if got := faceStatus(t, r); got != k.want {
				t.Errorf("%+v, want %+v", got, k.want)
			}
			must(t, r.end())
			if !strings.Contains(r.log.String(), k.logged) {
				t.Errorf("the log: %s", r.log)
			}
		})
	}
}

// TestFaceModelsWrong: models that were named and cannot be used are a fault of
// the configuration, not a lack: nothing starts.
func TestFaceModelsWrong(t *testing.T) {
	c := fresh(t)
	c.FaceEnabled, c.FaceModels = true, t.TempDir()
	wantCode(t, runFails(t, c), problem.FaceModels)
}
