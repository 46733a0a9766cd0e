//go:build !cgo

package engine

import (
	"fmt"

	"latchkey/internal/face"
)

// start has nothing to run the networks with.
func start(*set, library, int) (Engine, error) {
	return nil, fmt.Errorf("%w: this program was built without cgo", face.ErrUnavailable)
}
