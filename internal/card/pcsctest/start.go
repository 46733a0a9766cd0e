package pcsctest

import "testing"

// Start runs a service for a test and ends it afterwards. A machine that
// cannot run one fails the test.
func Start(t testing.TB) *Service {
	t.Helper()
	s, err := Run()
	if err != nil {
		t.Fatalf("start a PC/SC service: %v (make setup installs it)", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("end the PC/SC service: %v", err)
		}
	})
	return s
}
