package daemon

import (
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"latchkey/internal/api"
	"latchkey/internal/config"
	"latchkey/internal/problem"
)

// TestMethodsByConfiguration: a way that is not set up, or switched off, is
// shown as not available, with what the operator wrote.
func TestMethodsByConfiguration(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*config.Config)
		want   api.MethodStatus
	}{
		"nothing":      {func(*config.Config) {}, api.MethodStatus{Method: api.MethodSMS, Notice: "Security codes by text message are not set up yet."}},
		"with words":   {func(c *config.Config) { c.SMSNotice = "Soon." }, api.MethodStatus{Method: api.MethodSMS, Notice: "Soon."}},
		"a folder":     {func(c *config.Config) { c.MailDir = "/x" }, api.MethodStatus{Method: api.MethodSMS, Available: true}},
		"a provider":   {func(c *config.Config) { c.TextProviders = []string{"sns"} }, api.MethodStatus{Method: api.MethodSMS, Available: true}},
		"switched off": {func(c *config.Config) { c.MailDir, c.SMSEnabled, c.SMSNotice = "/x", false, "Off." }, api.MethodStatus{Method: api.MethodSMS, Notice: "Off."}},
	} {
		conf := config.Default()
		c.change(conf)
		if got := methods(conf)[1]; got != c.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// TestProvidersOfTextMessages: each is made of its own settings; one that
// lacks them stops the service at its start, and no secret is told.
func TestProvidersOfTextMessages(t *testing.T) {
	secret := "whsec_" + base64.StdEncoding.EncodeToString([]byte("hunter2-hunter2-hunter2-hunter2"))
	good := config.Default()
	good.TextProviders = []string{"notify", "twilio", "sns", "webhook", "smpp"}
	good.TextCallbackURL = "https://unlock.example.org/v1/receipts/"
	good.NotifyKey = "key-26785a09-ab16-4eb0-8407-a37497a57506-3d844edf-8d35-48ac-975b-e847b4f122b0"
	good.NotifyTemplate = "740e5834-3a29-46b4-9a6f-16142fde533a"
	good.TwilioAccount, good.TwilioAuthToken, good.TwilioFrom = "AC"+strings.Repeat("0", 32), strings.Repeat("0", 32), "Latchkey"
	good.SNSRegion = "eu-west-2"
	good.WebhookURL, good.WebhookSecret = "https://gateway.example.org/send", secret
	good.SMPPAddress, good.SMPPSystemID, good.SMPPPassword = "centre.example.org:3550", "latchkey", "hunter2"
	out, err := senders(t.Context(), good)
	must(t, err)
	if out.Text == nil || out.Guard.PerHour != good.TextsPerHour || out.Guard.Home != "GB" {
		t.Errorf("%+v", out)
	}
	for name, spoil := range map[string]func(*config.Config){
		"notify": func(c *config.Config) { c.NotifyTemplate = "" }, "twilio": func(c *config.Config) { c.TwilioFrom = "" },
		"webhook": func(c *config.Config) { c.WebhookURL = "http://gateway.example.org" }, "smpp": func(c *config.Config) { c.SMPPAddress = "" },
		"texts": func(c *config.Config) { c.MessageDir = "/nowhere" }, "limits": func(c *config.Config) { c.TextCountryLimits = []string{"GB"} },
	} {
		bad := *good
		spoil(&bad)
		_, err := senders(t.Context(), &bad)
		wantCode(t, err, problem.ConfigInvalid)
		if err != nil && (strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), secret)) {
			t.Errorf("%s: the error tells a secret: %v", name, err)
		}
	}
}

// TestFiguresOfMessages: Prometheus gets them with the others.
func TestFiguresOfMessages(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	c := fresh(t)
	c.MetricsListen = l.Addr().String()
	must(t, l.Close())
	serveFor(t, c)
	resp, err := http.Get("http://" + c.MetricsListen + "/metrics")
	must(t, err)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	must(t, err)
	for _, want := range []string{`latchkey_messages_waiting{method="sms",state="dead"} 0`, `latchkey_messages_waiting{method="email",state="queued"} 0`} {
		if !strings.Contains(string(raw), want) {
			t.Errorf("no %s", want)
		}
	}
}
