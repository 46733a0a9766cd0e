package smpp

import (
	"strings"

	"github.com/linxGnu/gosmpp/data"
	"github.com/linxGnu/gosmpp/pdu"

	"latchkey/internal/deliver/text"
)

// deliver takes a deliver_sm or data_sm. What is no receipt is a text message
// from somebody: it is taken and forgotten.
func (s *SMPP) deliver(p pdu.PDU) data.CommandStatusType {
	receipt, ok := receiptOf(p)
	if !ok {
		return data.ESME_ROK
	}
	receipt.At = s.o.Now()
	if !s.tell(receipt) {
		return data.ESME_RX_T_APPN // not now: the message centre tells again
	}
	return data.ESME_ROK
}

// messageType masks what a delivery is in esm_class (SMPP 3.4 section 5.2.12).
const messageType = 0x3c

// receiptOf reads a receipt (SMPP 3.4 section 4.6, Appendix B): the optional
// parameters where they are there, else its text. Its times are not read: they
// are the message centre's local ones, of a zone that nobody says.
func receiptOf(p pdu.PDU) (text.Receipt, bool) {
	var class byte
	var options map[pdu.Tag]pdu.Field
	words := ""
	switch p := p.(type) {
	case *pdu.DeliverSM:
		class, options = p.EsmClass, p.OptionalParameters
		octets, _ := p.Message.GetMessageData() // the error is always nil
		words = string(octets)
	case *pdu.DataSM:
		class, options = p.EsmClass, p.OptionalParameters
	}
	if kind := class & messageType; kind != data.SM_SMSC_DLV_RCPT_TYPE && kind != data.SM_INTMD_DLV_NOTIFY_TYPE {
		return text.Receipt{}, false
	}
	if payload, ok := options[pdu.TagMessagePayload]; ok && words == "" {
		words = string(payload.Data)
	}
	said := ParseReceipt(words)
	if id, ok := options[pdu.TagReceiptedMessageID]; ok && id.String() != "" {
		said.ID = id.String()
	}
	if state, ok := options[pdu.TagMessageStateOption]; ok && len(state.Data) == 1 {
		if stat, ok := stats[state.Data[0]]; ok {
			said.Stat = stat
		}
	}
	if said.ID == "" || said.Stat == "" {
		return text.Receipt{}, false
	}
	receipt := text.Receipt{Provider: Name, ID: said.ID, State: stateOf(said.Stat)}
	if receipt.State != text.StateDelivered {
		reason := said.Stat
		if strings.Trim(said.Err, "0") != "" {
			reason += "-" + said.Err
		}
		receipt.Reason = text.Code(reason, "other")
	}
	return receipt, true
}

// stats are the words for message_state (SMPP 3.4 section 5.2.28).
var stats = map[byte]string{
	data.SM_STATE_EN_ROUTE: "ENROUTE", data.SM_STATE_DELIVERED: "DELIVRD", data.SM_STATE_EXPIRED: "EXPIRED",
	data.SM_STATE_DELETED: "DELETED", data.SM_STATE_UNDELIVERABLE: "UNDELIV", data.SM_STATE_ACCEPTED: "ACCEPTD",
	data.SM_STATE_INVALID: "UNKNOWN", data.SM_STATE_REJECTED: "REJECTD",
}

// stateOf says how far a message has come. ACCEPTD is no delivery: many message
// centres mean that the network has it. Of UNKNOWN and anything else no more is
// known either.
func stateOf(stat string) text.State {
	switch stat {
	case "DELIVRD":
		return text.StateDelivered
	case "EXPIRED", "DELETED", "UNDELIV", "REJECTD":
		return text.StateFailed
	}
	return text.StateSent
}

// ReceiptText is what the text of a receipt says.
type ReceiptText struct {
	ID   string
	Stat string // in capitals
	Err  string // the network's own code
}

// ParseReceipt reads the usual text of a receipt, "id:... sub:... dlvrd:...
// submit date:... done date:... stat:DELIVRD err:000 text:...". Vendors differ
// in order, spaces and capitals, and leave fields out: those are "". What stands
// behind "text:" is the message itself and is not looked at.
func ParseReceipt(s string) ReceiptText {
	var out ReceiptText
	lower := lowerASCII(s)
	if i := field(lower, "text"); i >= 0 {
		s, lower = s[:i], lower[:i]
	}
	out.ID = value(s, lower, "id", 65)
	out.Stat = strings.ToUpper(value(s, lower, "stat", 16))
	out.Err = value(s, lower, "err", 16)
	return out
}

// field is where the value of a field begins, -1 where there is none.
func field(lower, name string) int {
	for from := 0; ; {
		i := strings.Index(lower[from:], name+":")
		if i < 0 {
			return -1
		}
		i += from
		if i == 0 || strings.ContainsRune(" \t\r\n,;", rune(lower[i-1])) {
			return i + len(name) + 1
		}
		from = i + 1
	}
}

// value is a field's value up to the next space: "" where it is longer than
// most, or not plain.
func value(s, lower, name string, most int) string {
	i := field(lower, name)
	if i < 0 {
		return ""
	}
	v := s[i:]
	if end := strings.IndexAny(v, " \t\r\n\x00"); end >= 0 {
		v = v[:end]
	}
	v = strings.TrimRight(v, ",;")
	if len(v) > most || !ascii(v) {
		return ""
	}
	return v
}

// lowerASCII keeps every octet where it is, which strings.ToLower does not.
func lowerASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
