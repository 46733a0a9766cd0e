package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"latchkey/internal/card/pcsctest"
	"latchkey/internal/unlock/unlocktest"
)

// BenchmarkStart is the time from the start of the application's process until
// its start page has come, with a service and a PC/SC service that run. The
// browser is left out: page-ms is the program's own part. version-ms is the
// same program printing its version and nothing else.
func BenchmarkStart(b *testing.B) {
	program := build(b, "latchkey")
	stack := pcsctest.Start(b)
	x := unlocktest.New(b, unlocktest.Options{})
	environment := append(stack.Environment(), "XDG_CONFIG_HOME="+b.TempDir(), "LATCHKEY_SERVICE="+x.Client.Address())
	var page, version []time.Duration
	for b.Loop() {
		took, err := firstPage(b.Context(), program, environment)
		if err != nil {
			b.Fatal(err)
		}
		page = append(page, took)
		began := time.Now()
		c := exec.CommandContext(b.Context(), program, "version")
		c.Env = environment
		if out, err := c.CombinedOutput(); err != nil {
			b.Fatalf("latchkey version: %v\n%s", err, out)
		}
		version = append(version, time.Since(began))
	}
	report(b, "page", page, "version", version)
}

// report gives the middle one of each of two kinds of times of one run, and how
// many times the second goes into the first. Other programs on the machine move
// the middle less than the mean.
func report(b *testing.B, name string, whole []time.Duration, of string, least []time.Duration) {
	b.ReportMetric(0, "ns/op") // both together mean nothing
	w, l := middle(whole), middle(least)
	b.ReportMetric(float64(w.Microseconds())/1000, name+"-ms")
	b.ReportMetric(float64(l.Microseconds())/1000, of+"-ms")
	b.ReportMetric(float64(w)/float64(l), name+"/"+of)
}

func middle(times []time.Duration) time.Duration {
	slices.Sort(times)
	return times[len(times)/2]
}

// build builds a program as make build does.
func build(b *testing.B, name string) string {
	b.Helper()
	path := filepath.Join(b.TempDir(), name)
	if out, err := exec.Command("go", "build", "-trimpath", "-o", path, "latchkey/cmd/"+name).CombinedOutput(); err != nil {
		b.Fatalf("build %s: %v\n%s", name, err, out)
	}
	return path
}

var launch = regexp.MustCompile(`http://\S+/launch\?secret=\S+`)

// patience bounds one start.
const patience = 20 * time.Second

// firstPage starts the program, trades in its launch secret and gets the start
// page.
func firstPage(ctx context.Context, program string, environment []string) (took time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c := exec.CommandContext(ctx, program, "--no-browser")
	c.Env = environment
	out, err := c.StdoutPipe()
	if err != nil {
		return 0, err
	}
	began := time.Now()
	if err := c.Start(); err != nil {
		return 0, err
	}
	defer func() {
		stopErr := c.Process.Signal(os.Interrupt)
		_, _ = io.Copy(io.Discard, out) // before Wait, which closes it
		var exit *exec.ExitError
		if waitErr := c.Wait(); err == nil && !errors.As(waitErr, &exit) {
			err = errors.Join(stopErr, waitErr)
		}
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return 0, fmt.Errorf("wait for the address: %w", err)
	}
	address := launch.FindString(line)
	if address == "" {
		return 0, fmt.Errorf("no address in %q", line)
	}
	if err := visit(ctx, address); err != nil {
		return 0, err
	}
	return time.Since(began), nil
}

// visit does what a browser does: it follows the launch address to the start
// page.
func visit(ctx context.Context, address string) error {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return err
	}
	u, err := url.Parse(address)
	if err != nil {
		return err
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer // any name below localhost is this machine (RFC 6761 section 6.3)
		return d.DialContext(ctx, network, net.JoinHostPort("127.0.0.1", u.Port()))
	}}
	defer transport.CloseIdleConnections()
	client := &http.Client{Jar: jar, Transport: transport}
	for _, at := range []string{address, u.Scheme + "://" + u.Host + "/"} {
		body, err := get(ctx, client, at)
		if err != nil {
			return err
		}
		if at != address && !strings.Contains(body, "<h1") {
			return fmt.Errorf("what came is no page: %.200s", body)
		}
	}
	return nil
}

func get(ctx context.Context, client *http.Client, address string) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", err
	}
	w, err := client.Do(r)
	if err != nil {
		return "", err
	}
	defer w.Body.Close()
	body, err := io.ReadAll(w.Body)
	if err == nil && w.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d: %.200s", w.StatusCode, body)
	}
	return string(body), err
}
