package smpp

import (
	"bufio"
	"bytes"
	"context"
	"net"

	"latchkey/internal/deliver/text"
)

// DialBy replaces how s connects.
func (s *SMPP) DialBy(dial func(context.Context) (net.Conn, error)) { s.dial = dial }

// ReceiptIn reads the receipt in what came over a connection.
func ReceiptIn(raw []byte) (text.Receipt, bool) {
	p, err := parse(bufio.NewReader(bytes.NewReader(raw)))
	if err != nil {
		return text.Receipt{}, false
	}
	return receiptOf(p)
}
