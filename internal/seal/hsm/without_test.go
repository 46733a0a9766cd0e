//go:build !pkcs11

package hsm

import (
	"testing"

	"latchkey/internal/problem"
)

func TestNotBuiltIn(t *testing.T) {
	if _, err := New(Options{Module: "m", Token: "t", PIN: "p", Key: "k"}); problem.CodeOf(err) != problem.ProviderMissing {
		t.Errorf("%v", err)
	}
}
