package smpp_test

import (
	"strings"
	"testing"

	"github.com/linxGnu/gosmpp/data"
	"github.com/linxGnu/gosmpp/pdu"

	"latchkey/internal/deliver/text"
	"latchkey/internal/deliver/text/smpp"
)

func TestParseReceipt(t *testing.T) {
	for in, want := range map[string]smpp.ReceiptText{
		"id:0123456789 sub:001 dlvrd:001 submit date:2601010100 done date:2601010101 stat:DELIVRD err:000 text:Your code": {ID: "0123456789", Stat: "DELIVRD", Err: "000"},
		"id:7F3A-9c sub:001 dlvrd:000 submit date:260101010059 done date:260101010101 stat:UNDELIV err:01B Text:":         {ID: "7F3A-9c", Stat: "UNDELIV", Err: "01B"},
		"ID:1 STAT:delivrd ERR:0":                         {ID: "1", Stat: "DELIVRD", Err: "0"},
		"stat:EXPIRED\r\nid:1\r\n":                        {ID: "1", Stat: "EXPIRED"},
		"id:1 stat:REJECTD text:id:2 stat:DELIVRD":        {ID: "1", Stat: "REJECTD"},
		"text:id:2 stat:DELIVRD":                          {},
		"id: stat:DELIVRD":                                {Stat: "DELIVRD"},
		"grid:7 id:1 substat:9 stat:ENROUTE":              {ID: "1", Stat: "ENROUTE"},
		"id:" + strings.Repeat("9", 66) + " stat:DELIVRD": {Stat: "DELIVRD"},
		"id:\xff\xfe stat:DELIVRD":                        {Stat: "DELIVRD"},
		"hello":                                           {},
		"":                                                {},
	} {
		if got := smpp.ParseReceipt(in); got != want {
			t.Errorf("%q: %+v, want %+v", in, got, want)
		}
	}
}

// delivery is a deliver_sm as it travels.
func delivery(t testing.TB, class byte, words string, options ...pdu.Field) []byte {
	t.Helper()
	p := pdu.NewDeliverSM().(*pdu.DeliverSM)
	p.EsmClass = class
	if err := p.Message.SetMessageDataWithEncoding([]byte(words), data.GSM7BIT); err != nil {
		t.Fatal(err)
	}
	for _, o := range options {
		p.RegisterOptionalParam(o)
	}
	buf := pdu.NewBuffer(nil)
	p.Marshal(buf)
	return buf.Bytes()
}

const delivered = "id:1 stat:DELIVRD err:000"

func TestReceiptIn(t *testing.T) {
	id := func(s string) pdu.Field { return pdu.Field{Tag: pdu.TagReceiptedMessageID, Data: []byte(s)} }
	state := func(n ...byte) pdu.Field { return pdu.Field{Tag: pdu.TagMessageStateOption, Data: n} }
	for name, c := range map[string]struct {
		raw    []byte
		id     string
		state  text.State
		reason string
	}{
		"by its text":                  {delivery(t, 0x04, delivered), "1", text.StateDelivered, ""},
		"by its parameters":            {delivery(t, 0x04, "", id("A1\x00"), state(2)), "A1", text.StateDelivered, ""},
		"the parameters count":         {delivery(t, 0x04, delivered, id("A1\x00"), state(5)), "A1", text.StateFailed, "UNDELIV"},
		"a state that is none":         {delivery(t, 0x04, delivered, state(99)), "1", text.StateDelivered, ""},
		"a state of two":               {delivery(t, 0x04, delivered, state(5, 5)), "1", text.StateDelivered, ""},
		"in a payload":                 {delivery(t, 0x04, "", pdu.Field{Tag: pdu.TagMessagePayload, Data: []byte(delivered)}), "1", text.StateDelivered, ""},
		"on the way":                   {delivery(t, 0x20, "id:1 stat:ENROUTE err:000"), "1", text.StateSent, "ENROUTE"},
		"accepted is not delivered":    {delivery(t, 0x04, "id:1 stat:ACCEPTD"), "1", text.StateSent, "ACCEPTD"},
		"expired":                      {delivery(t, 0x04, "id:1 stat:EXPIRED err:0E1"), "1", text.StateFailed, "EXPIRED-0E1"},
		"deleted":                      {delivery(t, 0x04, "id:1 stat:DELETED"), "1", text.StateFailed, "DELETED"},
		"rejected":                     {delivery(t, 0x04, "id:1 stat:REJECTD err:abc"), "1", text.StateFailed, "REJECTD-abc"},
		"unknown":                      {delivery(t, 0x04, "id:1 stat:UNKNOWN"), "1", text.StateSent, "UNKNOWN"},
		"a reason that is a number":    {delivery(t, 0x04, "id:1 stat:UNDELIV err:447700900123"), "1", text.StateFailed, "other"},
		"a message from somebody":      {delivery(t, 0x00, delivered), "", "", ""},
		"an acknowledgement by person": {delivery(t, 0x08, delivered), "", "", ""},
		"no identifier":                {delivery(t, 0x04, "stat:DELIVRD"), "", "", ""},
		"no state":                     {delivery(t, 0x04, "id:1"), "", "", ""},
		"cut off":                      {delivery(t, 0x04, delivered)[:40], "", "", ""},
	} {
		got, ok := smpp.ReceiptIn(c.raw)
		want := text.Receipt{Provider: "smpp", ID: c.id, State: c.state, Reason: c.reason}
		if ok != (c.id != "") || ok && got != want {
			t.Errorf("%s: %+v, %v, want %+v", name, got, ok, want)
		}
	}
}

func FuzzParseReceipt(f *testing.F) {
	f.Add("id:0123456789 sub:001 dlvrd:001 submit date:2601010100 done date:2601010101 stat:DELIVRD err:000 text:Your code")
	f.Add("TEXT:id:1")
	f.Add("id:İ stat:İ err:\x00")
	f.Fuzz(func(t *testing.T, s string) {
		got := smpp.ParseReceipt(s)
		for _, v := range []string{got.ID, got.Stat, got.Err} {
			if len(v) > 65 || strings.ContainsAny(v, " \x00\r\n") || v != "" && !strings.Contains(strings.ToUpper(s), strings.ToUpper(v)) {
				t.Fatalf("%q in %q", v, s)
			}
		}
	})
}

func FuzzReceiptIn(f *testing.F) {
	f.Add(delivery(f, 0x04, delivered))
	f.Add(delivery(f, 0x44, "\x05\x00\x03\x01\x02\x01id:1"))
	f.Add(delivery(f, 0x04, "", pdu.Field{Tag: pdu.TagReceiptedMessageID, Data: []byte("A\x00")}, pdu.Field{Tag: pdu.TagMessageStateOption, Data: []byte{2}}))
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, ok := smpp.ReceiptIn(raw)
		if ok && (got.ID == "" || got.State == "" || text.Code(got.Reason, "") != got.Reason) {
			t.Fatalf("%+v", got)
		}
	})
}
