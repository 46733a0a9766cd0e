package journey

import (
	"encoding/json"
	"os"
	"path/filepath"

	"latchkey/internal/api"
)

// contactFile keeps who can help, as the service said last: people need that
// most when the service cannot be reached. It holds nothing that is secret or
// trusted: a file that is damaged or not there is as good as none.
type contactFile string

func (f contactFile) read() (c api.Contact) {
	if f == "" {
		return c
	}
	raw, err := os.ReadFile(string(f))
	if err != nil || json.Unmarshal(raw, &c) != nil {
		return api.Contact{}
	}
	return c
}

func (f contactFile) write(c api.Contact) error {
	if f == "" || c == f.read() {
		return nil
	}
	raw, err := json.Marshal(c)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(string(f)), 0o700); err != nil {
		return err
	}
	return os.WriteFile(string(f), raw, 0o600)
}
