package daemon

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"latchkey/internal/problem"
)

// certificates are the TLS certificate and key, read again when their files
// change. Where the new ones do not fit together yet, the old ones stay.
type certificates struct {
	certFile, keyFile string
	log               *slog.Logger

	mu      sync.Mutex
	current *tls.Certificate
	stamp   [2]time.Time // of the files that were read last
	looked  time.Time
}

// lookEvery is how often the files are looked at.
const lookEvery = time.Second

// loadCertificates gives nil where no certificate is set.
func loadCertificates(certFile, keyFile string, log *slog.Logger) (*certificates, error) {
	if certFile == "" {
		return nil, nil
	}
	c := &certificates{certFile: certFile, keyFile: keyFile, log: log}
	if err := c.load(); err != nil {
		return nil, problem.Wrap(problem.ConfigInvalid, err)
	}
	return c, nil
}

func (c *certificates) load() error {
	c.stamp = c.stamps()
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("TLS certificate: %w", err)
	}
	c.current = &pair
	return nil
}

func (c *certificates) stamps() (out [2]time.Time) {
	for i, path := range []string{c.certFile, c.keyFile} {
		if info, err := os.Stat(path); err == nil {
			out[i] = info.ModTime()
		}
	}
	return out
}

// get is tls.Config.GetCertificate.
func (c *certificates) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.Sub(c.looked) >= lookEvery {
		c.looked = now
		if c.stamps() != c.stamp {
			if err := c.load(); err != nil {
				c.log.Error("the new TLS certificate is not used", "err", err)
			} else {
				c.log.Info("TLS certificate read again")
			}
		}
	}
	return c.current, nil
}
