package e2e

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// lines is what a program prints; others can wait for words in it.
type lines struct {
	mu      sync.Mutex
	text    strings.Builder
	changed chan struct{}
}

func newLines() *lines { return &lines{changed: make(chan struct{})} }

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(p)
	close(l.changed)
	l.changed = make(chan struct{})
	return len(p), nil
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// wait waits for words until patience is over or ended is closed.
func (l *lines) wait(words string, patience time.Duration, ended <-chan struct{}) error {
	deadline := time.After(patience)
	for {
		l.mu.Lock()
		text, changed := l.text.String(), l.changed
		l.mu.Unlock()
		if strings.Contains(text, words) {
			return nil
		}
		select {
		case <-changed:
		case <-ended:
			ended, deadline = nil, time.After(0) // what it printed last may be still to read
		case <-deadline:
			return fmt.Errorf("it never printed %q, but:\n%s", words, text)
		}
	}
}
