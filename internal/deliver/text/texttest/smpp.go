package texttest

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/linxGnu/gosmpp/data"
	"github.com/linxGnu/gosmpp/pdu"

	"latchkey/internal/deliver/text"
	"latchkey/internal/deliver/text/smpp"
)

// The account of the stand-in for a message centre.
const (
	smppSystem   = "latchkey"
	smppPassword = "pa55word"
)

// SMPP is a message centre that delivers nothing (SMPP 3.4).
type SMPP struct {
	box
	listener net.Listener
	wait     sync.WaitGroup

	mu     sync.Mutex
	bound  map[*bind]bool
	binds  int
	groups map[string]*group // messages in parts that are not whole yet
	asked  map[string]bool   // identifiers that a receipt was asked for
}

// bind is one connection.
type bind struct {
	conn net.Conn
	in   bool // let in

	mu       sync.Mutex
	sequence int32
	waiting  map[int32]chan data.CommandStatusType
	gone     chan struct{}
}

type group struct {
	parts map[byte]string
	total byte
}

// StartSMPP starts it, with TLS where conf is not nil.
func StartSMPP(conf *tls.Config) (*SMPP, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("stand in for a message centre: %w", err)
	}
	if conf != nil {
		l = tls.NewListener(l, conf)
	}
	s := &SMPP{listener: l, bound: map[*bind]bool{}, groups: map[string]*group{}, asked: map[string]bool{}}
	s.wait.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.wait.Go(func() { s.Serve(conn) })
		}
	})
	return s, nil
}

// Options fit the stand-in.
func (s *SMPP) Options() smpp.Options {
	return smpp.Options{Address: s.listener.Addr().String(), SystemID: smppSystem, Password: smppPassword, Sender: "Latchkey"}
}

// Binds counts how often somebody was let in.
func (s *SMPP) Binds() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.binds
}

// Drop breaks every connection.
func (s *SMPP) Drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for b := range s.bound {
		_ = b.conn.Close()
	}
}

// Close ends the stand-in.
func (s *SMPP) Close() error {
	err := s.listener.Close()
	s.Drop()
	s.wait.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil // before
	}
	return err
}

// Serve talks to one client until it goes.
func (s *SMPP) Serve(conn net.Conn) {
	b := &bind{conn: conn, waiting: map[int32]chan data.CommandStatusType{}, gone: make(chan struct{})}
	s.mu.Lock()
	s.bound[b] = true
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.bound, b)
		s.mu.Unlock()
		close(b.gone)
		_ = conn.Close()
	}()
	reader := bufio.NewReader(conn)
	for {
		p, err := pdu.Parse(reader)
		if err != nil || !s.handle(b, p) {
			return
		}
	}
}

// handle takes one request; false ends the connection.
func (s *SMPP) handle(b *bind, p pdu.PDU) bool {
	switch p := p.(type) {
	case *pdu.BindRequest:
		return s.letIn(b, p)
	case *pdu.EnquireLink:
		return b.write(p.GetResponse()) == nil
	case *pdu.Unbind:
		_ = b.write(p.GetResponse())
		return false
	case *pdu.SubmitSM:
		return s.submit(b, p)
	case *pdu.DeliverSMResp:
		b.answer(p.GetSequenceNumber(), p.CommandStatus)
	default:
		nack := pdu.NewGenericNack().(*pdu.GenericNack)
		nack.CommandStatus = data.ESME_RINVCMDID
		nack.SetSequenceNumber(p.GetSequenceNumber())
		return b.write(nack) == nil
	}
	return true
}

func (s *SMPP) letIn(b *bind, p *pdu.BindRequest) bool {
	resp := p.GetResponse().(*pdu.BindResp)
	resp.SystemID = "stand-in"
	switch {
	case b.in:
		resp.CommandStatus = data.ESME_RALYBND
	case p.SystemID != smppSystem:
		resp.CommandStatus = data.ESME_RINVSYSID
	case p.Password != smppPassword:
		resp.CommandStatus = data.ESME_RINVPASWD
	case p.BindingType != pdu.Transceiver || p.InterfaceVersion != data.SMPP_V34:
		resp.CommandStatus = data.ESME_RBINDFAIL
	}
	ok := resp.CommandStatus == data.ESME_ROK
	if ok {
		s.mu.Lock()
		b.in = true
		s.binds++
		s.mu.Unlock()
	}
	return b.write(resp) == nil && ok
}

var smppFaults = map[Fault]data.CommandStatusType{Down: data.ESME_RSYSERR, Throttled: data.ESME_RTHROTTLED,
	Unauthorised: data.ESME_RINVBNDSTS, Rejected: data.CommandStatusType(0x401), BadNumber: data.ESME_RINVDSTADR}

func (s *SMPP) submit(b *bind, p *pdu.SubmitSM) bool {
	resp := p.GetResponse().(*pdu.SubmitSMResp)
	f := s.failNow()
	switch f {
	case 0:
	case Silent:
		return false
	case Garbled:
		return b.write(resp) == nil // taken, without an identifier
	case Endless, Redirected: // nothing of the sort here: what comes is no SMPP
		_, _ = b.conn.Write([]byte("HTTP/1.1 200 OK\r\n\r\n"))
		return false
	default:
		resp.CommandStatus = smppFaults[f]
		return b.write(resp) == nil
	}
	words, err := wordsOf(p)
	switch {
	case !b.in:
		resp.CommandStatus = data.ESME_RINVBNDSTS
	case p.DestAddr.Ton() != data.GSM_TON_INTERNATIONAL || p.DestAddr.Npi() != data.GSM_NPI_E164 || !notifyNumber.MatchString("+"+p.DestAddr.Address()):
		resp.CommandStatus = data.ESME_RINVDSTADR
	case err != nil:
		resp.CommandStatus = data.ESME_RINVMSGLEN
	default:
		resp.MessageID = fmt.Sprintf("%X", 0xABC000+s.number())
		s.part(p, resp.MessageID, words)
	}
	return b.write(resp) == nil
}

// wordsOf is the text of a request, decoded by the library alone.
func wordsOf(p *pdu.SubmitSM) (string, error) {
	octets, err := p.Message.GetMessageData()
	if payload, ok := p.OptionalParameters[pdu.TagMessagePayload]; ok {
		if len(octets) > 0 {
			return "", errors.New("text in two places")
		}
		octets = payload.Data
	} else if p.Message.Encoding() == data.GSM7BIT && len(octets) > 160 || p.Message.Encoding() == data.UCS2 && len(octets) > 140 {
		return "", errors.New("the text does not fit a message")
	}
	if err != nil {
		return "", err
	}
	return p.Message.Encoding().Decode(octets)
}

// part keeps a message when all its parts are there.
func (s *SMPP) part(p *pdu.SubmitSM, id, words string) {
	m := Message{ID: id, To: "+" + p.DestAddr.Address(), Body: words, Sender: p.SourceAddr.Address(), Parts: text.Measure(words).Parts}
	s.mu.Lock()
	if p.RegisteredDelivery&data.SM_SMSC_RECEIPT_MASK == data.SM_SMSC_RECEIPT_REQUESTED {
		s.asked[id] = true
	}
	if total, number, reference, ok := p.Message.UDH().GetConcatInfo(); ok {
		key := fmt.Sprintf("%s/%d", m.To, reference)
		g := s.groups[key]
		if g == nil {
			g = &group{parts: map[byte]string{}, total: total}
			s.groups[key] = g
		}
		g.parts[number] = words
		if len(g.parts) < int(g.total) {
			s.mu.Unlock()
			return
		}
		delete(s.groups, key)
		m.Body, m.Parts = "", int(total)
		for i := byte(1); i <= total; i++ {
			m.Body += g.parts[i]
		}
	}
	s.mu.Unlock()
	s.catch(m)
}

// Receipt implements Caught: a deliver_sm to whoever is bound. An error where
// it was not asked for, or is not taken.
func (s *SMPP) Receipt(ctx context.Context, id string, state text.State) error {
	m, err := s.byID(id)
	if err != nil {
		return err
	}
	s.mu.Lock()
	asked := s.asked[id]
	s.mu.Unlock()
	if !asked {
		return errors.New("no receipt was asked for")
	}
	stat, number, fault := "ENROUTE", byte(data.SM_STATE_EN_ROUTE), "000"
	switch state {
	case text.StateDelivered:
		stat, number = "DELIVRD", data.SM_STATE_DELIVERED
	case text.StateFailed:
		stat, number, fault = "UNDELIV", data.SM_STATE_UNDELIVERABLE, "075"
	}
	p := pdu.NewDeliverSM().(*pdu.DeliverSM)
	p.EsmClass = data.SM_SMSC_DLV_RCPT_TYPE
	when := time.Now().Format("0601021504")
	words := fmt.Sprintf("id:%s sub:001 dlvrd:001 submit date:%s done date:%s stat:%s err:%s text:%.20s", id, when, when, stat, fault, "Your security code")
	p.SourceAddr, err = pdu.NewAddressWithTonNpiAddr(data.GSM_TON_INTERNATIONAL, data.GSM_NPI_E164, m.To[1:])
	if err = errors.Join(err, p.Message.SetMessageWithEncoding(words, data.GSM7BIT)); err != nil {
		return err
	}
	p.RegisterOptionalParam(pdu.Field{Tag: pdu.TagReceiptedMessageID, Data: append([]byte(id), 0)})
	p.RegisterOptionalParam(pdu.Field{Tag: pdu.TagMessageStateOption, Data: []byte{number}})
	status, err := s.Deliver(ctx, p)
	if err == nil && status != data.ESME_ROK {
		err = fmt.Errorf("the receipt was answered %s", status)
	}
	return err
}

// Deliver sends a request to whoever is bound and waits for the answer.
func (s *SMPP) Deliver(ctx context.Context, p pdu.PDU) (data.CommandStatusType, error) {
	s.mu.Lock()
	var b *bind
	for candidate := range s.bound {
		if candidate.in {
			b = candidate
		}
	}
	s.mu.Unlock()
	if b == nil {
		return 0, errors.New("nobody is bound")
	}
	answer := make(chan data.CommandStatusType, 1)
	b.mu.Lock()
	b.sequence++
	p.SetSequenceNumber(b.sequence)
	b.waiting[b.sequence] = answer
	b.mu.Unlock()
	if err := b.write(p); err != nil {
		return 0, err
	}
	select {
	case status := <-answer:
		return status, nil
	case <-b.gone:
		return 0, errors.New("the connection has gone")
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

func (b *bind) answer(sequence int32, status data.CommandStatusType) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if answer := b.waiting[sequence]; answer != nil {
		delete(b.waiting, sequence)
		answer <- status
	}
}

func (b *bind) write(p pdu.PDU) error {
	buf := pdu.NewBuffer(nil)
	p.Marshal(buf)
	b.mu.Lock()
	defer b.mu.Unlock()
	_, err := b.conn.Write(buf.Bytes())
	return err
}

var _ Caught = (*SMPP)(nil)
