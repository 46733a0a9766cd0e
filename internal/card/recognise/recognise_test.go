package recognise_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"latchkey/internal/card"
	"latchkey/internal/card/cardtest"
	"latchkey/internal/card/recognise"
)

func TestPIVCardIsRecognised(t *testing.T) {
	t.Parallel()
	c, err := recognise.Open(t.Context(), cardtest.Open(t, filepath.Join("testdata", "piv.txt")))
	if err != nil || c.Family() != card.FamilyPIV {
		t.Errorf("got %v, %v", c, err)
	}
}

// The scripts hold one SELECT and nothing else: any VERIFY fails the test.
func TestUnrecognisedCardIsLeftAlone(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"unknown", "agreeable", "other", "cutoff", "old", "broken"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := recognise.Open(t.Context(), cardtest.Open(t, filepath.Join("testdata", name+".txt")))
			if c != nil || !errors.Is(err, card.ErrUnrecognised) {
				t.Errorf("got %v, %v", c, err)
			}
		})
	}
}

// stubborn answers every command with the same status and notes instructions.
type stubborn struct {
	card.Conn
	status uint16
	sent   []byte
}

func (s *stubborn) Transmit(_ context.Context, command []byte) ([]byte, error) {
	s.sent = append(s.sent, command[1])
	return []byte{byte(s.status >> 8), byte(s.status)}, nil
}

func TestNoStatusMakesAnUnknownCardGetAVerify(t *testing.T) {
	t.Parallel()
	for status := 0x6000; status <= 0x9FFF; status++ {
		if status>>8 == 0x61 {
			continue // more to come without end: see package apdu
		}
		s := &stubborn{status: uint16(status)}
		if c, err := recognise.Open(t.Context(), s); c != nil || !errors.Is(err, card.ErrUnrecognised) {
			t.Fatalf("status %04X: %v, %v", status, c, err)
		}
		for _, ins := range s.sent {
			if ins != 0xA4 {
				t.Fatalf("status %04X: command %02X was sent", status, ins)
			}
		}
	}
}

func TestFaultOfTheWayIsNotAnUnknownCard(t *testing.T) {
	t.Parallel()
	_, err := recognise.Open(t.Context(), cardtest.New(t, "script", "> 00A4040005A00000030800\n! removed"))
	if !errors.Is(err, card.ErrRemoved) || errors.Is(err, card.ErrUnrecognised) {
		t.Errorf("got %v", err)
	}
}
