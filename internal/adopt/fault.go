package adopt

import (
	"errors"

	"latchkey/internal/card"
	"latchkey/internal/journey"
	"latchkey/internal/problem"
)

// fault turns an error into the problem that the Registration Authority sees.
func fault(err error) *problem.Problem {
	var known *problem.Problem
	if errors.As(err, &known) {
		return known
	}
	var last card.LastTryError
	if errors.As(err, &last) {
		return problem.Wrap(problem.AdoptLastTry, err)
	}
	var blocked card.BlockedError
	if errors.As(err, &blocked) && blocked.Reference != card.ReferencePIN {
		return problem.Wrap(problem.AdoptBlocked, err)
	}
	if errors.Is(err, card.ErrRefusedKey) || errors.Is(err, card.ErrNotSupported) {
		return problem.Wrap(problem.AdoptCannot, err)
	}
	return journey.Fault(err)
}
