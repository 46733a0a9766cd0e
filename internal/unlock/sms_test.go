package unlock_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"latchkey/internal/api"
	"latchkey/internal/audit"
	"latchkey/internal/card/emulator"
	"latchkey/internal/deliver"
	"latchkey/internal/problem"
	"latchkey/internal/store"
	"latchkey/internal/unlock"
	"latchkey/internal/unlock/unlocktest"
)

// textsToo makes text messages available.
func textsToo(c *unlock.Config) {
	c.Methods[1].Available, c.Methods[1].Notice = true, ""
}

func (v *visitor) text(number string) (api.CodeSent, error) {
	return v.Sessions.SendCode(v.t.Context(), v.who, api.CodeRequest{Method: api.MethodSMS, Address: number})
}

// TestNumbersLookAlike: the same answer, and the same count of tries, for the
// holder's number however it is written, another's, nobody's and the holder's
// address of another kind (R4). A code goes to the first alone.
func TestNumbersLookAlike(t *testing.T) {
	on(t, func(t *testing.T, database string) {
		x, c := enrolled(t, unlocktest.Options{Database: database, Config: textsToo})
		x.Import(t, "staff_number,name,mobile\n77,Somebody Else,07700 900999\n", "")
		var first *api.CodeSent
		for number, theirs := range map[string]bool{
			unlocktest.Mobile: true, "+44 (0)7700 900-123": true, "0044 7700 900123": true, "٠٧٧٠٠٩٠٠١٢٣": true, " 7700900123\n": true,
			"07700 900999": false, "07700 900124": false, "+353 85 012 3456": false, "+1 202 555 0123": false,
		} {
			v := identified(t, x, c)
			before := x.Jobs()
			sent, err := v.text(number)
			v.must(err)
			sent.SendsLeft, sent.SecondsLeft = 0, 0 // the card's, and time goes on
			if first == nil {
				first = &sent
			}
			if d := cmp.Diff(*first, sent); d != "" || x.Jobs() != before+1 {
				t.Errorf("%q looks different: %s", number, d)
			}
			code := x.Code(t)
			if (code != "") != theirs {
				t.Errorf("%q: code %q", number, code)
			}
			err = v.check("000000x")
			wantCode(t, err, problem.CodeWrong)
			if left := problem.From(err).TriesLeft; left == nil || *left != 4 {
				t.Errorf("%q: %v tries left", number, left)
			}
			if theirs {
				v.must(v.check(code))
			}
		}
	})
}

func TestNumbersThatAreNone(t *testing.T) {
	x, c := enrolled(t, unlocktest.Options{Config: textsToo})
	v := identified(t, x, c)
	for number, code := range map[string]problem.Code{
		"": problem.MobileMissing, " \u200b": problem.MobileMissing, "sam": problem.MobileMalformed, unlocktest.Email: problem.MobileMalformed,
		"020 7946 0000": problem.MobileMalformed, "07700 9001234567": problem.MobileMalformed, "07700\x00900123": problem.MobileMalformed,
		strings.Repeat("7", 10_000): problem.MobileMalformed, "07700 900123\r\n07700 900124": problem.MobileMalformed,
	} {
		if _, err := v.text(number); problem.CodeOf(err) != code {
			t.Errorf("%.40q: %v", number, err)
		}
	}
	if _, err := v.send(unlocktest.Mobile); problem.CodeOf(err) != problem.AddressMalformed {
		t.Errorf("a number as an email address: %v", err)
	}
	if x.Jobs() != 0 {
		t.Errorf("%d codes were made", x.Jobs())
	}
}

// TestCodesOfOneMethodAtATime: a code by text message cancels the one by email
// and the other way round.
func TestCodesOfOneMethodAtATime(t *testing.T) {
	x, c := enrolled(t, unlocktest.Options{Config: textsToo})
	v := identified(t, x, c)
	_, err := v.send(unlocktest.Email)
	v.must(err)
	mailed := x.Code(t)
	texted := mailed
	for texted == mailed {
		_, err = v.text(unlocktest.Mobile)
		v.must(err)
		texted = x.Code(t)
	}
	wantCode(t, v.check(mailed), problem.CodeWrong)
	v.must(v.check(texted))
	if got := v.session().VerifiedBy; got != "sms" {
		t.Errorf("verified by %q", got)
	}
}

func (v *visitor) session() (out store.Session) {
	v.t.Helper()
	v.must(v.DB.View(v.t.Context(), func(tx *store.Tx) (err error) {
		out, err = tx.SessionByID(v.t.Context(), v.who.ID)
		return err
	}))
	return out
}

// TestBudgetsAreApart: what all ask of email uses up nothing of text messages.
func TestBudgetsAreApart(t *testing.T) {
	x, c := enrolled(t, unlocktest.Options{Clock: true, Config: func(c *unlock.Config) {
		textsToo(c)
		c.Limits = unlock.Limits{SendsPerCard: 99, SendsPerAddress: 99, SendsPerNetwork: 99, SendsTotal: 2}
	}})
	v := identified(t, x, c)
	for range 2 {
		_, err := v.send(unlocktest.Email)
		v.must(err)
	}
	_, err := v.send(unlocktest.Email)
	wantCode(t, err, problem.SendLimit)
	for range 2 {
		_, err := v.text(unlocktest.Mobile)
		v.must(err)
	}
	_, err = v.text(unlocktest.Mobile)
	wantCode(t, err, problem.SendLimit)
}

// TestOneCountPerCard: text messages and email share the card's hour.
func TestOneCountPerCard(t *testing.T) {
	x, c := enrolled(t, unlocktest.Options{Clock: true, Config: func(c *unlock.Config) {
		textsToo(c)
		c.Limits.SendsPerCard = 2
	}})
	v := identified(t, x, c)
	_, err := v.send(unlocktest.Email)
	v.must(err)
	sent, err := v.text(unlocktest.Mobile)
	v.must(err)
	if sent.SendsLeft != 0 {
		t.Errorf("%d sends left", sent.SendsLeft)
	}
	_, err = v.text(unlocktest.Mobile)
	wantCode(t, err, problem.SendLimit)
}

// TestMethodsOfAHolder: a proven card hears what its holder can use and why
// not; an unproven one what the organisation offers.
func TestMethodsOfAHolder(t *testing.T) {
	x := unlocktest.New(t, unlocktest.Options{Config: textsToo})
	for name, h := range map[string]struct {
		email, mobile   string
		byEmail, byText bool
	}{
		"both":   {unlocktest.Email, unlocktest.Mobile, true, true},
		"email":  {unlocktest.Email, "", true, false},
		"mobile": {"", unlocktest.Mobile, false, true},
	} {
		c := newCard(t, emulator.Options{})
		x.Import(t, "staff_number,name,email,mobile\n"+name+",Sam,"+h.email+","+h.mobile+"\n", "")
		csv, err := c.State().ExportCSV(name, true)
		if err != nil {
			t.Fatal(err)
		}
		x.Import(t, "", csv)
		v := visit(t, x, c)
		s, err := v.prove()
		v.must(err)
		if s.Methods[0].Available != h.byEmail || s.Methods[1].Available != h.byText {
			t.Errorf("%s: %+v", name, s.Methods)
		}
		for i, word := range []string{"email address", "mobile number"} {
			if m := s.Methods[i]; !m.Available && !strings.Contains(m.Notice, word) {
				t.Errorf("%s: %+v", name, m)
			}
		}
	}
}

// TestTextMessagesLeave: code and notices go to the mobile number too, through
// the queue, and the records of messages tell neither number nor text.
func TestTextMessagesLeave(t *testing.T) {
	on(t, func(t *testing.T, database string) {
		x, c := enrolled(t, unlocktest.Options{Database: database, Config: textsToo, Queue: true})
		v := identified(t, x, c)
		_, err := v.text("+44 7700 900123")
		v.must(err)
		v.must(v.check(x.Code(t)))
		_, _, err = v.release(1)
		v.must(err)
		kinds := func() (out []string) {
			v.must(x.DB.View(t.Context(), func(tx *store.Tx) error {
				all, err := tx.Messages(t.Context(), store.MessageFilter{Session: v.who.ID})
				for _, m := range all {
					out = append(out, m.Kind+" "+m.Method+" "+string(m.State))
					raw, _ := json.Marshal(m)
					if strings.Contains(string(raw), "900123") || strings.Contains(string(raw), "sam.taylor") || m.Address == "" {
						t.Errorf("the record tells whose it is, or does not tell apart: %s", raw)
					}
				}
				return err
			}))
			slices.Sort(out)
			return out
		}
		// The code may have been typed in before its message left.
		x.Settle(t, func() bool {
			return slices.ContainsFunc([]string{"code sms sent", "code sms failed"}, func(code string) bool {
				return slices.Equal(kinds(), []string{code, "released email sent", "released sms sent"})
			})
		})
	})
}

// TestNoticesNameTheirMethod: both addresses are told, each in its own way.
func TestNoticesNameTheirMethod(t *testing.T) {
	x, c := enrolled(t, unlocktest.Options{})
	holder := x.Card(t, c).HolderID
	if err := x.DB.View(t.Context(), func(tx *store.Tx) error {
		all, err := x.Sessions.ResolveNotice(t.Context(), tx, deliver.Notice{HolderID: holder, Event: deliver.NoticeReleased})
		var got []string
		for _, m := range all {
			got = append(got, m.To.Method+" "+m.To.Address+" "+m.To.Country)
			if len(m.To.Pseudonym) != 16 {
				t.Errorf("pseudonym %q", m.To.Pseudonym)
			}
		}
		slices.Sort(got)
		if want := []string{"email " + unlocktest.Email + " ", "sms +447700900123 GB"}; !slices.Equal(got, want) {
			t.Errorf("%q", got)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// TestUnknownMethodOfAJob: a job of another version of the program is not
// guessed at.
func TestUnknownMethodOfAJob(t *testing.T) {
	x, c := enrolled(t, unlocktest.Options{Config: textsToo})
	v := identified(t, x, c)
	_, err := v.text(unlocktest.Mobile)
	v.must(err)
	v.must(x.DB.View(t.Context(), func(tx *store.Tx) error {
		_, send, err := x.Sessions.ResolveCode(context.Background(), tx, deliver.CodeJob{SessionID: v.who.ID, Method: "pigeon", Address: "+447700900123"})
		if send {
			t.Error("it would be sent")
		}
		return err
	}))
}

// TestAuditOfTextMessages: the trail tells the method and never the number.
func TestAuditOfTextMessages(t *testing.T) {
	x, c := enrolled(t, unlocktest.Options{Config: textsToo})
	v := identified(t, x, c)
	_, err := v.text(unlocktest.Mobile)
	v.must(err)
	found := false
	v.must(x.DB.View(t.Context(), func(tx *store.Tx) error {
		return tx.EachAudit(t.Context(), "", 0, func(e store.AuditEvent) error {
			if e.Session != v.who.ID {
				return nil
			}
			raw, err := json.Marshal(e.Details)
			if strings.Contains(string(raw), "900123") {
				t.Errorf("%s tells the number: %s", e.Action, raw)
			}
			found = found || e.Action == audit.CodeSent && e.Details["method"] == "sms"
			return err
		})
	}))
	if !found {
		t.Error("the trail has no code by text message")
	}
}
