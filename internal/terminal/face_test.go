package terminal_test

import (
	"strings"
	"testing"

	"latchkey/internal/api"
	"latchkey/internal/journey"
	"latchkey/internal/problem"
	"latchkey/internal/terminal"
)

// faces offers face verification, with or without security codes.
type faces struct {
	*fake
	email bool
}

func (f faces) View() journey.View {
	v := f.fake.View()
	v.Methods = []api.MethodStatus{{Method: api.MethodEmail, Available: f.email}, {Method: api.MethodFace, Available: true}}
	return v
}

// TestFaceIsElsewhere: a terminal says where the camera is, and stops only
// where there is no other way.
func TestFaceIsElsewhere(t *testing.T) {
	locked := journey.Status{Cards: []journey.Card{{Reader: reader, State: journey.CardLocked}}}
	for _, email := range []bool{true, false} {
		var out strings.Builder
		term := terminal.New(faces{newFake(locked), email}, strings.NewReader("sam@example.org\n"), &out)
		err := term.Unlock(t.Context(), terminal.Given{}, false)
		want := problem.FaceElsewhere
		if email {
			want = problem.InputEnded // it went on to ask for the code
		}
		wantCode(t, err, want)
		if !strings.Contains(out.String(), "Run latchkey to open its window") {
			t.Errorf("with email %v the terminal says:\n%s", email, &out)
		}
	}
}
