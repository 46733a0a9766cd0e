//go:build !pkcs11

package hsm

import (
	"errors"

	"latchkey/internal/problem"
	"latchkey/internal/seal"
)

// New says that this program cannot speak to a module: problem.ProviderMissing.
func New(Options) (seal.Provider, error) {
	return nil, problem.Wrap(problem.ProviderMissing, errors.New("this latchkeyd was built without the tag pkcs11"))
}
