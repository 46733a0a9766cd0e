package smpp

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"github.com/linxGnu/gosmpp/data"
	"github.com/linxGnu/gosmpp/pdu"

	"latchkey/internal/deliver/text"
)

// Send implements text.Provider. Of a message in parts the identifier is that
// of the last part, and only that one has a receipt. Where the message centre
// takes some parts and not the rest, it is not known what the phone will show:
// Unclear. Message.Reference does not travel.
func (s *SMPP) Send(ctx context.Context, m text.Message) (text.Sent, error) {
	if err := text.Check(Name, m); err != nil {
		return text.Sent{}, err
	}
	requests, parts, err := s.requests(m)
	if err != nil {
		return text.Sent{}, &text.Error{Provider: Name, Kind: text.Refused, Code: "sender", Err: err}
	}
	s.keep()
	l, err := s.bound(ctx)
	if err != nil {
		return text.Sent{}, err
	}
	id := ""
	for i, req := range requests {
		if id, err = submit(ctx, l, req); err != nil {
			var e *text.Error
			if errors.As(err, &e) && i > 0 {
				e.Kind = text.Unclear
			}
			return text.Sent{}, err
		}
	}
	return text.Sent{Provider: Name, ID: id, Parts: parts}, nil
}

// submit sends one part. Error: *text.Error.
func submit(ctx context.Context, l *link, req *pdu.SubmitSM) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	resp, left, err := l.ask(ctx, req)
	if err != nil {
		e := &text.Error{Provider: Name, Kind: text.Away, Code: "unreachable", Err: err}
		if left {
			e.Kind, e.Code = text.Unclear, "no-answer"
		}
		return "", e
	}
	status := resp.GetHeader().CommandStatus
	taken, ok := resp.(*pdu.SubmitSMResp)
	switch {
	case status != data.ESME_ROK:
		if status == data.ESME_RINVBNDSTS {
			l.close(errLost) // it takes us for somebody who is not bound
		}
		return "", &text.Error{Provider: Name, Kind: submitKind(status), Code: name(status)}
	case !ok || taken.MessageID == "":
		return "", &text.Error{Provider: Name, Kind: text.Unclear, Code: "garbled"}
	}
	return taken.MessageID, nil
}

// submitKind says what a command_status means (SMPP 3.4 section 5.1.3).
func submitKind(status data.CommandStatusType) text.Kind {
	switch status {
	case data.ESME_RINVDSTADR:
		return text.Impossible
	case data.ESME_RTHROTTLED, data.ESME_RMSGQFUL, data.ESME_RSYSERR, data.ESME_RSUBMITFAIL,
		data.ESME_RINVBNDSTS, data.ESME_RX_T_APPN:
		return text.Away
	}
	return text.Refused // the vendors' own codes, 0x400 to 0x4FF, too
}

// name of a command_status, for operators.
func name(status data.CommandStatusType) string {
	if s := status.String(); strings.HasPrefix(s, "ESME_") {
		return s
	}
	return fmt.Sprintf("0x%08X", uint32(status))
}

// requests are the submit_sm that carry m, and as how many messages they count.
func (s *SMPP) requests(m text.Message) (out []*pdu.SubmitSM, count int, err error) {
	sender := s.o.Sender
	if m.Sender != "" {
		sender = m.Sender
	}
	from, err := source(sender)
	if err != nil {
		return nil, 0, err
	}
	to, err := pdu.NewAddressWithTonNpiAddr(data.GSM_TON_INTERNATIONAL, data.GSM_NPI_E164, strings.TrimPrefix(m.To, "+"))
	if err != nil {
		return nil, 0, errors.New("the number is too long")
	}
	encoding, parts := text.Encode(m.Body)
	coding := data.GSM7BIT
	if encoding == text.UCS2 {
		coding = data.UCS2
	}
	single := func(octets []byte) (*pdu.SubmitSM, error) {
		req := pdu.NewSubmitSM().(*pdu.SubmitSM)
		req.SourceAddr, req.DestAddr = from, to
		return req, req.Message.SetMessageDataWithEncoding(octets, coding)
	}
	count = len(parts)
	if count > 1 && s.o.Payload {
		whole := make([]byte, 0, 140*count)
		for _, p := range parts {
			whole = append(whole, p...)
		}
		req, err := single(nil)
		if err != nil {
			return nil, 0, err
		}
		req.RegisterOptionalParam(pdu.Field{Tag: pdu.TagMessagePayload, Data: whole})
		out = append(out, req)
	} else {
		var group [1]byte // tells parts of one message from those of another
		_, _ = rand.Read(group[:])
		for i, p := range parts {
			req, err := single(p)
			if err != nil {
				return nil, 0, err
			}
			if count > 1 {
				req.EsmClass |= data.SM_UDH_GSM
				req.Message.SetUDH(pdu.UDH{pdu.NewIEConcatMessage(byte(count), byte(i+1), group[0])})
			}
			out = append(out, req)
		}
	}
	out[len(out)-1].RegisteredDelivery = data.SM_SMSC_RECEIPT_REQUESTED
	return out, count, nil
}

// source is the address of a sender: "+447700900000" is international, a few
// digits a short code of the network, anything else up to 11 letters a name.
func source(sender string) (pdu.Address, error) {
	digits := strings.TrimPrefix(sender, "+")
	numeric := digits != "" && strings.Trim(digits, "0123456789") == ""
	switch {
	case sender == "":
		return pdu.NewAddressWithTonNpi(data.GSM_TON_UNKNOWN, data.GSM_NPI_UNKNOWN), nil
	case numeric && len(digits) <= 15 && (sender != digits || len(digits) > 8):
		return pdu.NewAddressWithTonNpiAddr(data.GSM_TON_INTERNATIONAL, data.GSM_NPI_E164, digits)
	case numeric && len(digits) <= 8:
		return pdu.NewAddressWithTonNpiAddr(data.GSM_TON_NETWORK, data.GSM_NPI_UNKNOWN, digits)
	case !numeric && len(sender) <= 11 && ascii(sender):
		return pdu.NewAddressWithTonNpiAddr(data.GSM_TON_ALPHANUMERIC, data.GSM_NPI_UNKNOWN, sender)
	}
	return pdu.Address{}, errors.New("the sender is neither a number nor up to 11 characters of ASCII")
}
