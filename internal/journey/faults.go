package journey

import (
	"context"
	"errors"

	"latchkey/internal/card"
	"latchkey/internal/problem"
)

// Fault turns an error of the reader or card into the problem that a person
// sees. A problem stays what it is; what nobody foresaw is problem.Internal.
func Fault(err error) *problem.Problem {
	var known *problem.Problem
	if errors.As(err, &known) {
		return known
	}
	var wrong card.WrongKeyError
	if errors.As(err, &wrong) {
		p := problem.Wrap(problem.PUKWrong, err)
		if wrong.Reference == card.ReferencePIN {
			p = problem.Wrap(problem.PasscodeWrong, err)
		}
		if wrong.TriesLeft >= 0 { // some cards do not tell
			p.TriesLeft = &wrong.TriesLeft
		}
		return p
	}
	var disabled card.DisabledError
	if errors.As(err, &disabled) {
		return problem.Wrap(problem.PUKDisabled, err)
	}
	var last card.LastTryError
	if errors.As(err, &last) {
		return problem.Wrap(problem.PUKLastTry, err)
	}
	var blocked card.BlockedError
	if errors.As(err, &blocked) {
		if blocked.Reference == card.ReferencePIN {
			return problem.Wrap(problem.CardLocked, err)
		}
		return problem.Wrap(problem.PUKBlocked, err)
	}
	var status card.StatusError
	if errors.As(err, &status) {
		return problem.Wrap(problem.CardMalformed, err)
	}
	for _, f := range faults() {
		if errors.Is(err, f.fault) {
			return problem.Wrap(f.code, err)
		}
	}
	return problem.Wrap(problem.Internal, err)
}

type faultCode struct {
	fault error
	code  problem.Code
}

func faults() []faultCode {
	return []faultCode{
		{card.ErrNoService, problem.NoReaderService},
		{card.ErrNoReader, problem.NoReader},
		{card.ErrReaderGone, problem.ReaderGone},
		{card.ErrNoCard, problem.NoCard},
		{card.ErrMute, problem.CardMute},
		{card.ErrRemoved, problem.CardRemoved},
		{card.ErrReset, problem.CardBusy},
		{card.ErrBusy, problem.CardBusy},
		{card.ErrUnrecognised, problem.CardUnknown},
		{card.ErrNotSupported, problem.CardCannot},
		{card.ErrRefusedPIN, problem.PasscodeRefused},
		{card.ErrRefusedKey, problem.CardCannot},
		{card.ErrMalformed, problem.CardMalformed},
		{card.ErrNotAuthenticated, problem.CardBusy}, // another program has reset it
		{context.DeadlineExceeded, problem.CardBusy},
	}
}

// passing says whether a problem may go away while the person waits, and the
// work can then go on: the card is put back, the network is there again.
func passing(p *problem.Problem) bool {
	switch p.Code {
	case problem.CardSwapped, problem.CardUnknown,
		problem.ServiceUnreachable, problem.ServiceSlow, problem.ServiceAnswer,
		problem.DatabaseBusy, problem.DatabaseGone:
		return true
	}
	return AtReader(p)
}

// AtReader says whether a problem is with the reader or the way to the card,
// and putting the card back or waiting may help.
func AtReader(p *problem.Problem) bool {
	switch p.Code {
	case problem.NoReaderService, problem.NoReader, problem.ReaderGone, problem.NoCard, problem.CardRemoved,
		problem.CardBusy, problem.CardMute:
		return true
	}
	return false
}

// ofService says whether a passing problem is with the service: then time
// helps, not a change at the reader.
func ofService(p *problem.Problem) bool {
	return p.Code >= "LK-5000"
}
