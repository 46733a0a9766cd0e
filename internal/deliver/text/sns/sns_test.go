package sns_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"latchkey/internal/deliver/text"
	"latchkey/internal/deliver/text/sns"
	"latchkey/internal/deliver/text/texttest"
	"latchkey/internal/problem"
)

func good() sns.Options {
	return sns.Options{Region: "eu-west-2", AccessKey: "AKIA", SecretAccessKey: "hunter2"}
}

func TestOptions(t *testing.T) {
	if _, err := sns.New(t.Context(), good()); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*sns.Options){
		"no region":             func(o *sns.Options) { o.Region = "" },
		"not a region":          func(o *sns.Options) { o.Region = "London" },
		"half of a key":         func(o *sns.Options) { o.AccessKey = "" },
		"another half":          func(o *sns.Options) { o.SecretAccessKey = "" },
		"a sender too long":     func(o *sns.Options) { o.Sender = "Latchkey RA1" },
		"a sender with a space": func(o *sns.Options) { o.Sender = "Kent RA" },
		"no https":              func(o *sns.Options) { o.Endpoint = "http://sns.example.org" },
	} {
		o := good()
		spoil(&o)
		_, err := sns.New(t.Context(), o)
		if problem.CodeOf(err) != problem.ConfigInvalid || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSenders(t *testing.T) {
	s, err := texttest.StartSNS()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, sender := range []string{"", "Latchkey", "+447700900999", "60006"} {
		o := s.Options()
		o.Sender = sender
		p, err := sns.New(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Send(t.Context(), text.Message{To: "+447700900123", Body: "x & y = z, 100 %"}); err != nil {
			t.Fatal(err)
		}
		caught := s.Messages()
		if got := caught[len(caught)-1]; got.Sender != sender || got.Body != "x & y = z, 100 %" {
			t.Errorf("%+v, want from %q", got, sender)
		}
	}
}

// TestWrongKey is refused by the signature, which the stand-in computes.
func TestWrongKey(t *testing.T) {
	s, err := texttest.StartSNS()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	o := s.Options()
	o.SecretAccessKey = "another"
	p, err := sns.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Send(t.Context(), text.Message{To: "+447700900123", Body: "x"})
	var e *text.Error
	if !errors.As(err, &e) || e.Kind != text.Refused || e.Code != "SignatureDoesNotMatch" {
		t.Errorf("%v", err)
	}
}

// TestCredentialsOfTheMachine come from where the SDK looks: here the
// environment, and then nowhere.
func TestCredentialsOfTheMachine(t *testing.T) {
	s, err := texttest.StartSNS()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	o := s.Options()
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(t.TempDir(), "none"))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(t.TempDir(), "none"))
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_ACCESS_KEY_ID", o.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", o.SecretAccessKey)
	o.AccessKey, o.SecretAccessKey = "", ""
	send := func() error {
		p, err := sns.New(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		_, err = p.Send(t.Context(), text.Message{To: "+447700900123", Body: "x"})
		return err
	}
	if err := send(); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Unsetenv("AWS_ACCESS_KEY_ID"), os.Unsetenv("AWS_SECRET_ACCESS_KEY")); err != nil {
		t.Fatal(err)
	}
	var e *text.Error
	if err := send(); !errors.As(err, &e) || e.Kind != text.Refused || e.Code != "credentials" {
		t.Errorf("without any: %v", err)
	}
}

// TestErrors are codes that the stand-in does not give by itself.
func TestErrors(t *testing.T) {
	for code, c := range map[string]struct {
		status int
		kind   text.Kind
	}{
		"Throttled":             {429, text.Away},
		"ThrottlingException":   {400, text.Away},
		"RequestLimitExceeded":  {400, text.Away},
		"KMSThrottling":         {400, text.Away},
		"ServiceUnavailable":    {503, text.Away},
		"InternalFailure":       {500, text.Away},
		"AuthorizationError":    {403, text.Refused},
		"SignatureDoesNotMatch": {403, text.Refused},
		"ParameterValueInvalid": {400, text.Refused},
		"UserError":             {400, text.Refused},
		"ValidationException":   {400, text.Refused},
		"NeverHeardOf":          {400, text.Refused},
	} {
		var asked atomic.Int32
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			asked.Add(1)
			w.WriteHeader(c.status)
			fmt.Fprintf(w, `<ErrorResponse><Error><Type>Sender</Type><Code>%s</Code><Message>+447700900123</Message></Error><RequestId>x</RequestId></ErrorResponse>`, code)
		}))
		o := good()
		o.Endpoint = s.URL
		p, err := sns.New(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		_, err = p.Send(t.Context(), text.Message{To: "+447700900123", Body: "x"})
		s.Close()
		var e *text.Error
		if !errors.As(err, &e) || e.Kind != c.kind || e.Code != code || e.Err != nil {
			t.Errorf("%s: %+v", code, err)
		}
		if n := asked.Load(); n != 1 {
			t.Errorf("%s: asked %d times: the library tries again by itself", code, n)
		}
	}
}
