package apdu_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"latchkey/internal/card"
	"latchkey/internal/card/apdu"
	"latchkey/internal/card/cardtest"
)

func TestSend(t *testing.T) {
	t.Parallel()
	long := bytes.Repeat([]byte{0xAB}, 300)
	for _, c := range []struct {
		name    string
		command apdu.Command
		script  string
		data    string
		sw      uint16
	}{
		{"no data either way", apdu.Command{INS: 0x20, P2: 0x80}, "> 00200080\n< 63C3", "", 0x63C3},
		{"an answer wanted", apdu.Command{INS: 0xFD, Answer: true}, "> 00FD000000\n< 050403 9000", "\x05\x04\x03", 0x9000},
		{"data sent", apdu.Command{INS: 0x20, P2: 0x80, Data: []byte("12345678")}, "> 0020008008 3132333435363738\n< 9000", "", 0x9000},
		{"data both ways", apdu.Command{INS: 0xA4, P1: 4, Data: []byte{0xA0}, Answer: true}, "> 00A4040001 A0 00\n< 61 00 9000", "\x61\x00", 0x9000},
		{"data sent, answer to be fetched", apdu.Command{INS: 0xCB, Data: []byte{1}, Answer: true},
			"> 00CB0000010100\n< AA 6102\n> 00C0000002\n< BBCC 6101\n> 00C0000001\n< DD 9000", "\xAA\xBB\xCC\xDD", 0x9000},
		{"fetching ends in an error", apdu.Command{INS: 0xCB, Answer: true}, "> 00CB000000\n< AA 6102\n> 00C0000002\n< 6F00", "\xAA", 0x6F00},
		{"fetching the wrong length", apdu.Command{INS: 0xCB, Answer: true},
			"> 00CB000000\n< 6100\n> 00C0000000\n< 6C02\n> 00C0000002\n< BBCC 9000", "\xBB\xCC", 0x9000},
		{"wrong length, no data", apdu.Command{INS: 0xFD}, "> 00FD0000\n< 6C01\n> 00FD000001\n< 07 9000", "\x07", 0x9000},
		{"wrong length, answer wanted", apdu.Command{INS: 0xFD, Answer: true}, "> 00FD000000\n< 6C03\n> 00FD000003\n< 050403 9000", "\x05\x04\x03", 0x9000},
		{"wrong length, data sent", apdu.Command{INS: 0xCB, Data: []byte{1, 2}, Answer: true},
			"> 00CB000002010200\n< 6C04\n> 00CB000002010204\n< 01020304 9000", "\x01\x02\x03\x04", 0x9000},
		{"wrong length, then more", apdu.Command{INS: 0xCB, Answer: true},
			"> 00CB000000\n< 6C02\n> 00CB000002\n< 0102 6101\n> 00C0000001\n< 03 9000", "\x01\x02\x03", 0x9000},
		{"wrong length again is an answer", apdu.Command{INS: 0xFD, Answer: true}, "> 00FD000000\n< 6C03\n> 00FD000003\n< 6C03", "", 0x6C03},
		{"channel kept while fetching", apdu.Command{CLA: 1, INS: 0xCB, Answer: true}, "> 01CB000000\n< 6101\n> 01C0000001\n< 07 9000", "\x07", 0x9000},
		{"long data in parts", apdu.Command{INS: 0x87, P1: 7, P2: 0x9E, Data: long, Answer: true},
			fmt.Sprintf("> 1087079EFF%X\n< 9000\n> 0087079E2D%X00\n< 05 9000", long[:255], long[255:]), "\x05", 0x9000},
		{"255 bytes in one part", apdu.Command{INS: 0x87, Data: long[:255]}, fmt.Sprintf("> 00870000FF%X\n< 9000", long[:255]), "", 0x9000},
		{"a part refused", apdu.Command{INS: 0x87, Data: long}, fmt.Sprintf("> 10870000FF%X\n< 6884", long[:255]), "", 0x6884},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := apdu.Send(t.Context(), cardtest.New(t, "script", c.script), c.command)
			if err != nil {
				t.Fatal(err)
			}
			if string(got.Data) != c.data || got.SW != c.sw {
				t.Errorf("got %X %04X, want %X %04X", got.Data, got.SW, c.data, c.sw)
			}
		})
	}
}

func TestSendFaults(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		script string
		want   error
	}{
		"removed":               {"> 00CB000000\n! removed", card.ErrRemoved},
		"reset while fetching":  {"> 00CB000000\n< 6101\n> 00C0000001\n! reset", card.ErrReset},
		"gone after bad length": {"> 00CB000000\n< 6C01\n> 00CB000001\n! reader gone", card.ErrReaderGone},
		"no status":             {"> 00CB000000\n< 90", card.ErrMalformed},
		"nothing at all":        {"> 00CB000000\n<", card.ErrMalformed},
		"no status in fetching": {"> 00CB000000\n< 6101\n> 00C0000001\n<", card.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := apdu.Send(t.Context(), cardtest.New(t, "script", c.script), apdu.Command{Name: "GET DATA", INS: 0xCB, Answer: true})
			if !errors.Is(err, c.want) || !strings.HasPrefix(err.Error(), "GET DATA: ") {
				t.Errorf("got %v, %v, want %v", r, err, c.want)
			}
		})
	}
}

// endless is a card that always has more to say.
type endless struct {
	answer []byte
	asked  int
}

func (e *endless) Transmit(context.Context, []byte) ([]byte, error) {
	e.asked++
	return e.answer, nil
}

func TestSendGivesUpOnACardThatNeverEnds(t *testing.T) {
	t.Parallel()
	for _, answer := range [][]byte{{0x61, 0x00}, {0xAA, 0x61, 0x01}, append(make([]byte, 256), 0x61, 0x00), append(make([]byte, 1<<16), 0x61, 0x00)} {
		e := &endless{answer: answer}
		if _, err := apdu.Send(t.Context(), e, apdu.Command{INS: 0xCB}); !errors.Is(err, card.ErrMalformed) || e.asked > 400 {
			t.Errorf("%d bytes a time: %v after %d commands", len(answer), err, e.asked)
		}
	}
}

// keeper keeps the very bytes it was given.
type keeper struct {
	commands [][]byte
	answers  [][]byte
}

func (k *keeper) Transmit(_ context.Context, command []byte) ([]byte, error) {
	k.commands = append(k.commands, command)
	a := k.answers[0]
	k.answers = k.answers[1:]
	return a, nil
}

func TestCommandsAreWipedAfterUse(t *testing.T) {
	t.Parallel()
	for name, answers := range map[string][][]byte{
		"at once":            {{0x90, 0x00}},
		"after wrong length": {{0x6C, 0x00}, {0x90, 0x00}},
	} {
		k := &keeper{answers: answers}
		if _, err := apdu.Send(t.Context(), k, apdu.Command{INS: 0x20, Data: []byte("123456")}); err != nil {
			t.Fatal(err)
		}
		for _, c := range k.commands {
			if bytes.Contains(c, []byte("123456")) {
				t.Errorf("%s: the PIN is still in memory: %X", name, c)
			}
		}
	}
}

func FuzzParseResponse(f *testing.F) {
	for _, seed := range [][]byte{nil, {0x90}, {0x90, 0x00}, {0x01, 0x61, 0x10}, make([]byte, 1<<16+2), make([]byte, 1<<16+3)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := apdu.ParseResponse(raw)
		if err != nil {
			if !errors.Is(err, card.ErrMalformed) || len(raw) >= 2 && len(raw) <= 1<<16+2 {
				t.Fatalf("%d bytes: %v", len(raw), err)
			}
			return
		}
		if whole := append(bytes.Clone(r.Data), byte(r.SW>>8), byte(r.SW)); !bytes.Equal(whole, raw) {
			t.Fatalf("%X became %X", raw, whole)
		}
	})
}

func BenchmarkCommand(b *testing.B) {
	k := &endless{answer: []byte{0x90, 0x00}}
	command := apdu.Command{INS: 0x2C, P2: 0x80, Data: make([]byte, 16)}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := apdu.Send(b.Context(), k, command); err != nil {
			b.Fatal(err)
		}
	}
}
