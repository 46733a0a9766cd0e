package smpp

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/linxGnu/gosmpp/data"
	"github.com/linxGnu/gosmpp/pdu"

	"latchkey/internal/deliver/text"
)

// link is one bound connection. The library's own session is not used: it does
// not say whether a request has left, nor which answer belongs to it in time.
type link struct {
	conn   net.Conn
	reader *bufio.Reader
	window chan struct{}

	writing sync.Mutex

	mu       sync.Mutex
	sequence int32
	waiting  map[int32]chan pdu.PDU
	err      error
	done     chan struct{} // closed with the connection

	deliver    func(pdu.PDU) data.CommandStatusType
	deliveries chan pdu.PDU
}

var (
	errLost   = errors.New("the message centre does not answer")
	errUnbind = errors.New("the message centre has unbound")
)

// bind asks to be let in over conn, which it closes where that fails. Error:
// *text.Error.
func bind(ctx context.Context, conn net.Conn, o Options, deliver func(pdu.PDU) data.CommandStatusType) (*link, error) {
	l := &link{conn: conn, reader: bufio.NewReader(conn), window: make(chan struct{}, windowSize), waiting: map[int32]chan pdu.PDU{},
		done: make(chan struct{}), deliver: deliver, deliveries: make(chan pdu.PDU, 64)}
	req := pdu.NewBindRequest(pdu.Transceiver)
	req.SystemID, req.Password = o.SystemID, o.Password
	go l.read()
	go l.handle()
	resp, _, err := l.ask(ctx, req)
	var status data.CommandStatusType
	if err == nil {
		status = resp.GetHeader().CommandStatus
		if _, ok := resp.(*pdu.BindResp); ok && status == data.ESME_ROK {
			go l.enquire()
			return l, nil
		}
	}
	l.close(errLost)
	if err != nil {
		return nil, &text.Error{Provider: Name, Kind: text.Away, Code: "no-bind", Err: err}
	}
	return nil, &text.Error{Provider: Name, Kind: bindKind(status), Code: name(status)}
}

// bindKind says what it means not to be let in.
func bindKind(status data.CommandStatusType) text.Kind {
	switch status {
	case data.ESME_RINVPASWD, data.ESME_RINVSYSID, data.ESME_RINVSYSTYP, data.ESME_RBINDFAIL:
		return text.Refused
	}
	return text.Away // also ESME_RALYBND: too many are bound
}

func (l *link) alive() bool {
	select {
	case <-l.done:
		return false
	default:
		return true
	}
}

func (l *link) close(why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return
	}
	l.err = why
	close(l.done)
	_ = l.conn.Close() // nothing more to do about it
}

// unbind takes leave, without insisting on an answer.
func (l *link) unbind() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_, _, _ = l.ask(ctx, pdu.NewUnbind())
	l.close(errClosed)
}

// ask sends a request and waits for its answer. left says whether any of it may
// have reached the other side.
func (l *link) ask(ctx context.Context, req pdu.PDU) (resp pdu.PDU, left bool, err error) {
	select {
	case l.window <- struct{}{}:
		defer func() { <-l.window }()
	case <-l.done:
		return nil, false, errLost
	case <-ctx.Done():
		return nil, false, ctx.Err()
	}
	answer := make(chan pdu.PDU, 1)
	l.mu.Lock()
	l.sequence = l.sequence%0x7fffffff + 1 // SMPP 3.4 section 3.2
	sequence := l.sequence
	l.waiting[sequence] = answer
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		delete(l.waiting, sequence)
		l.mu.Unlock()
	}()
	req.SetSequenceNumber(sequence)
	if left, err = l.write(req); err != nil {
		l.close(errLost)
		return nil, left, err
	}
	select {
	case resp := <-answer:
		return resp, true, nil
	case <-l.done:
	case <-ctx.Done():
		return nil, true, ctx.Err()
	}
	select { // the answer may have come just before the end
	case resp := <-answer:
		return resp, true, nil
	default:
		return nil, true, errLost
	}
}

// write sends p. It may have left even where it fails.
func (l *link) write(p pdu.PDU) (left bool, err error) {
	buf := pdu.NewBuffer(nil)
	p.Marshal(buf)
	l.writing.Lock()
	defer l.writing.Unlock()
	if !l.alive() {
		return false, errLost
	}
	if err := l.conn.SetWriteDeadline(time.Now().Add(answerTimeout)); err != nil {
		return false, err
	}
	n, err := l.conn.Write(buf.Bytes())
	return n > 0, err
}

// isAnswer is the bit of command_id that tells an answer (SMPP 3.4 section
// 5.1.2.1).
const isAnswer = 1 << 31

// read takes what comes until the connection ends.
func (l *link) read() {
	for {
		p, err := parse(l.reader)
		if err != nil {
			l.close(err)
			return
		}
		switch p := p.(type) {
		case *pdu.EnquireLink:
			_, err = l.write(p.GetResponse())
		case *pdu.Unbind:
			_, err = l.write(p.GetResponse())
			err = errors.Join(err, errUnbind)
		case *pdu.DeliverSM, *pdu.DataSM:
			select {
			case l.deliveries <- p:
			default: // it is told again later
				_, err = l.write(answered(p, data.ESME_RMSGQFUL))
			}
		default:
			if !p.CanResponse() {
				if uint32(p.GetHeader().CommandID)&isAnswer != 0 {
					l.answer(p)
				}
				break // an alert or the like: nothing to us
			}
			nack := pdu.NewGenericNack().(*pdu.GenericNack)
			nack.CommandStatus = data.ESME_RINVCMDID
			nack.SetSequenceNumber(p.GetSequenceNumber())
			_, err = l.write(nack)
		}
		if err != nil {
			l.close(err)
			return
		}
	}
}

// parse reads one request or answer. The library is not trusted with what a
// stranger sends: where it gives up, the connection ends.
func parse(r *bufio.Reader) (p pdu.PDU, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			p, err = nil, fmt.Errorf("what the message centre sent cannot be read: %v", fault)
		}
	}()
	return pdu.Parse(r)
}

func (l *link) answer(p pdu.PDU) {
	l.mu.Lock()
	answer := l.waiting[p.GetSequenceNumber()]
	delete(l.waiting, p.GetSequenceNumber())
	l.mu.Unlock()
	if answer != nil {
		answer <- p
	}
}

// handle takes deliveries one by one, apart from read: whoever takes a receipt
// may be slow, and answers must not wait for that.
func (l *link) handle() {
	for {
		select {
		case p := <-l.deliveries:
			if _, err := l.write(answered(p, l.deliver(p))); err != nil {
				l.close(err)
				return
			}
		case <-l.done:
			return
		}
	}
}

// answered is the answer to a delivery.
func answered(p pdu.PDU, status data.CommandStatusType) pdu.PDU {
	resp := p.GetResponse()
	switch r := resp.(type) {
	case *pdu.DeliverSMResp:
		r.CommandStatus = status
	case *pdu.DataSMResp:
		r.CommandStatus = status
	}
	return resp
}

// enquire asks from time to time whether the other side is still there.
func (l *link) enquire() {
	ticker := time.NewTicker(enquireEvery)
	defer ticker.Stop()
	for {
		select {
		case <-l.done:
			return
		case <-ticker.C:
		}
		ctx, cancel := context.WithTimeout(context.Background(), answerTimeout)
		_, _, err := l.ask(ctx, pdu.NewEnquireLink())
		cancel()
		if err != nil {
			l.close(errLost)
			return
		}
	}
}
