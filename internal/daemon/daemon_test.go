package daemon

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"latchkey/internal/api"
	"latchkey/internal/audit"
	"latchkey/internal/config"
	"latchkey/internal/problem"
	"latchkey/internal/store"
	"latchkey/internal/store/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantCode(t testing.TB, err error, code problem.Code) {
	t.Helper()
	if problem.CodeOf(err) != code {
		t.Errorf("got %v, want %q", err, code)
	}
}

// fresh is the configuration of an installation that init has been run for.
func fresh(t testing.TB) *config.Config {
	t.Helper()
	c := config.Default()
	c.Data, c.Listen, c.Node = filepath.Join(t.TempDir(), "data"), "127.0.0.1:0", "test"
	_, err := Init(c)
	must(t, err)
	return c
}

// running is a service that runs.
type running struct {
	address string
	stop    context.CancelFunc
	ended   chan error
	log     *lines
}

type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// serveFor runs a service until the test ends or stops it.
func serveFor(t testing.TB, c *config.Config) *running {
	t.Helper()
	r := &running{ended: make(chan error, 1), log: &lines{}}
	ctx, stop := context.WithCancel(t.Context())
	r.stop = stop
	ready := make(chan string, 1)
	go func() {
		r.ended <- Run(ctx, c, slog.New(slog.NewTextHandler(r.log, nil)), func(a string) { ready <- a })
	}()
	select {
	case r.address = <-ready:
	case err := <-r.ended:
		t.Fatalf("it does not start: %v\n%s", err, r.log)
	}
	t.Cleanup(func() { r.stop() })
	return r
}

// end stops it and gives what Run says.
func (r *running) end() error {
	r.stop()
	return <-r.ended
}

// runFails gives the error of a service that does not start.
func runFails(t testing.TB, c *config.Config) error {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	return Run(ctx, c, slog.New(slog.DiscardHandler), func(string) {
		t.Error("it started")
		stop()
	})
}

// actions are those of the audit trail.
func actions(t testing.TB, c *config.Config) []string {
	t.Helper()
	db, err := store.Open(t.Context(), c.DatabaseURL(), store.Options{Node: "reader"})
	must(t, err)
	defer db.Close()
	var out []string
	must(t, db.View(t.Context(), func(tx *store.Tx) error {
		return tx.EachAudit(t.Context(), "test", 0, func(e store.AuditEvent) error {
			out = append(out, e.Action)
			return nil
		})
	}))
	return out
}

// TestStartStopStart: the second run is the same service.
func TestStartStopStart(t *testing.T) {
	for name, database := range map[string]string{"sqlite": "", "postgres": pgtest.URL(t)} {
		t.Run(name, func(t *testing.T) {
			c := fresh(t)
			c.Database = database
			var keys [][]byte
			for range 2 {
				r := serveFor(t, c)
				client, err := api.NewClient("http://"+r.address, nil)
				must(t, err)
				info, err := client.Service(t.Context())
				must(t, err)
				keys = append(keys, info.SigningKey)
				must(t, r.end())
				if _, err := net.Dial("tcp", r.address); err == nil {
					t.Error("it still listens")
				}
			}
			if !bytes.Equal(keys[0], keys[1]) {
				t.Error("another signing key")
			}
			want := []string{audit.JournalAccepted, audit.ServiceStarted, audit.ServiceStopped, audit.ServiceStarted, audit.ServiceStopped}
			if got := actions(t, c); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("the audit trail has %v", got)
			}
		})
	}
}

// TestKeys: without the key that its data is sealed with, or with another, the
// service does not run, makes no other and changes nothing.
func TestKeys(t *testing.T) {
	other := fresh(t)
	for name, test := range map[string]struct {
		change func(c *config.Config) error
		code   problem.Code
	}{
		"no key-encryption key":       {func(c *config.Config) error { return os.Remove(c.KeyPath()) }, problem.KeyMissing},
		"another key-encryption key":  {func(c *config.Config) error { return os.Rename(other.KeyPath(), c.KeyPath()) }, problem.KeyWrong},
		"no key in the file":          {func(c *config.Config) error { return os.Truncate(c.KeyPath(), 0) }, problem.KeyWrong},
		"readable by others":          {func(c *config.Config) error { return os.Chmod(c.KeyPath(), 0o644) }, problem.KeyWrong},
		"no signing key":              {func(c *config.Config) error { return os.Remove(c.SigningKeyPath()) }, problem.KeyMissing},
		"the wrong kind of key":       {func(c *config.Config) error { return copyFile(c.KeyPath(), c.SigningKeyPath()) }, problem.KeyWrong},
		"a folder instead of the key": {func(c *config.Config) error { return errors.Join(os.Remove(c.KeyPath()), os.Mkdir(c.KeyPath(), 0o700)) }, problem.KeyWrong},
	} {
		t.Run(name, func(t *testing.T) {
			c := fresh(t)
			must(t, serveFor(t, c).end())
			before := actions(t, c)
			must(t, test.change(c))
			files, err := filepath.Glob(filepath.Join(c.Data, "*.key"))
			must(t, err)
			wantCode(t, runFails(t, c), test.code)
			after, err := filepath.Glob(filepath.Join(c.Data, "*.key"))
			must(t, err)
			if fmt.Sprint(files) != fmt.Sprint(after) {
				t.Errorf("key files %v, then %v", files, after)
			}
			if got := actions(t, c); len(got) != len(before) {
				t.Errorf("the audit trail has %v", got)
			}
		})
	}
}

func copyFile(from, to string) error {
	raw, err := os.ReadFile(from)
	return errors.Join(err, os.WriteFile(to, raw, 0o600))
}

// TestNoDatabaseWithoutAKey: a service that was never set up leaves nothing.
func TestNoDatabaseWithoutAKey(t *testing.T) {
	c := config.Default()
	c.Data, c.Listen = t.TempDir(), "127.0.0.1:0"
	wantCode(t, runFails(t, c), problem.KeyMissing)
	if left, err := os.ReadDir(c.Data); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestInitNeverOverwrites: neither key, not even where the other is missing.
func TestInitNeverOverwrites(t *testing.T) {
	c := fresh(t)
	kek, err := os.ReadFile(c.KeyPath())
	must(t, err)
	_, err = Init(c)
	wantCode(t, err, problem.KeyExists)
	signing, err := os.ReadFile(c.SigningKeyPath())
	must(t, err)
	must(t, os.Remove(c.KeyPath()))
	_, err = Init(c)
	wantCode(t, err, problem.KeyExists)
	if now, err := os.ReadFile(c.SigningKeyPath()); err != nil || !bytes.Equal(now, signing) {
		t.Error("the signing key was overwritten")
	}
	if now, err := os.ReadFile(c.KeyPath()); err == nil && bytes.Equal(now, kek) {
		t.Error("the removed key is back: it must be a copy")
	}
}

// TestWhatKeepsItFromStarting names the setting or the fault, and leaves
// nothing running.
func TestWhatKeepsItFromStarting(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer taken.Close()
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, []byte("nothing of use"), 0o600))
	for name, test := range map[string]struct {
		change func(c *config.Config)
		code   problem.Code
	}{
		"address in use":           {func(c *config.Config) { c.Listen = taken.Addr().String() }, problem.AddressInUse},
		"metrics' address in use":  {func(c *config.Config) { c.MetricsListen = taken.Addr().String() }, problem.AddressInUse},
		"no address of ours":       {func(c *config.Config) { c.Listen = "192.0.2.1:8440" }, problem.ConfigInvalid},
		"no certificate":           {func(c *config.Config) { c.TLSCert, c.TLSKey = file, file }, problem.ConfigInvalid},
		"no certificate file":      {func(c *config.Config) { c.TLSCert, c.TLSKey = file+".no", file }, problem.ConfigInvalid},
		"no issuers of cards":      {func(c *config.Config) { c.CardRoots = file }, problem.ConfigInvalid},
		"no file of issuers":       {func(c *config.Config) { c.CardRoots = file + ".no" }, problem.ConfigInvalid},
		"no authorities of cards":  {func(c *config.Config) { c.CardAuthorities = file }, problem.ConfigInvalid},
		"no file of authorities":   {func(c *config.Config) { c.CardAuthorities = file + ".no" }, problem.ConfigInvalid},
		"no sender":                {func(c *config.Config) { c.MailFrom = "nobody" }, problem.ConfigInvalid},
		"no authority of the mail": {func(c *config.Config) { c.SMTPCAFile = file }, problem.ConfigInvalid},
		"no folder of messages":    {func(c *config.Config) { c.MailDir = filepath.Join(file, "mail") }, problem.ConfigInvalid},
		"another kind of file":     {func(c *config.Config) { c.Database = file }, problem.ConfigInvalid},
		"no folder of database":    {func(c *config.Config) { c.Database = filepath.Join(file, "x.db") }, problem.DatabaseGone},
		"no PostgreSQL":            {func(c *config.Config) { c.Database = "postgres://latchkey:sesame@127.0.0.1:1/db" }, problem.DatabaseGone},
	} {
		t.Run(name, func(t *testing.T) {
			c := fresh(t)
			test.change(c)
			err := runFails(t, c)
			wantCode(t, err, test.code)
			if strings.Contains(fmt.Sprint(err), "sesame") {
				t.Error("the message shows the password")
			}
			if c.Database != "" {
				return
			}
			if got := actions(t, c); len(got) != 0 {
				t.Errorf("it says that it started: %v", got)
			}
		})
	}
}

// TestGracefulStop: a request that is being read when the service is told to
// stop is answered, and one that comes afterwards finds nobody.
func TestGracefulStop(t *testing.T) {
	c := fresh(t)
	r := serveFor(t, c)
	conn, err := net.Dial("tcp", r.address)
	must(t, err)
	defer conn.Close()
	body := `{"application":"1.0.0","api_version":99}`
	_, err = fmt.Fprintf(conn, "POST /v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", len(body))
	must(t, err)
	answer := bufio.NewReader(conn)
	if line, err := answer.ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
		t.Fatalf("%q, %v", line, err)
	}
	_, err = answer.ReadString('\n')
	must(t, err)
	r.stop()
	for err == nil { // until it listens no more
		var other net.Conn
		if other, err = net.Dial("tcp", r.address); err == nil {
			must(t, other.Close())
		}
	}
	_, err = io.WriteString(conn, body)
	must(t, err)
	w, err := http.ReadResponse(answer, nil)
	must(t, err)
	raw, err := io.ReadAll(w.Body)
	must(t, err)
	if p := problem.Decode(w.StatusCode, raw); p.Code != problem.NewerService {
		t.Errorf("%v", p)
	}
	must(t, <-r.ended)
	if got := actions(t, c); len(got) == 0 || got[len(got)-1] != audit.ServiceStopped {
		t.Errorf("the audit trail has %v", got)
	}
}

// TestMetricsAreApart: figures are on their own address alone.
func TestMetricsAreApart(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	c := fresh(t)
	c.MetricsListen = l.Addr().String()
	must(t, l.Close())
	r := serveFor(t, c)
	for _, test := range []struct {
		url    string
		status int
	}{
		{"http://" + c.MetricsListen + "/metrics", 200}, {"http://" + c.MetricsListen + "/v1/service", 404},
		{"http://" + r.address + "/metrics", 404}, {"http://" + r.address + "/health", 200},
	} {
		w, err := http.Get(test.url)
		must(t, err)
		must(t, w.Body.Close())
		if w.StatusCode != test.status {
			t.Errorf("%s: %s", test.url, w.Status)
		}
	}
	must(t, r.end())
}

// TestHTTPS: with its certificate, and no TLS older than 1.2.
func TestHTTPS(t *testing.T) {
	c := fresh(t)
	folder := t.TempDir()
	p := newPair(t, "unlock.example.org")
	p.write(t, folder, time.Now())
	c.TLSCert, c.TLSKey = filepath.Join(folder, "tls.crt"), filepath.Join(folder, "tls.key")
	r := serveFor(t, c)
	roots := x509.NewCertPool()
	roots.AddCert(p.cert)
	client, err := api.NewClient("https://"+r.address, roots)
	must(t, err)
	if _, err := client.Service(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := tls.Dial("tcp", r.address, &tls.Config{RootCAs: roots, ServerName: "unlock.example.org", MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}); err == nil {
		t.Error("TLS 1.1 is served")
	}
	w, err := http.Get("http://" + r.address + "/v1/service")
	must(t, err)
	must(t, w.Body.Close())
	if w.StatusCode != http.StatusBadRequest {
		t.Errorf("plain HTTP: %s", w.Status)
	}
	must(t, r.end())
}

// TestDatabaseTurnsReadOnly: as after a failover to a standby. Nothing starts,
// the service says why, and goes on when the database does.
func TestDatabaseTurnsReadOnly(t *testing.T) {
	c := fresh(t)
	c.Database = pgtest.URL(t)
	r := serveFor(t, c)
	db, err := store.Open(t.Context(), c.Database, store.Options{Node: "operator"})
	must(t, err)
	defer db.Close()
	operator, err := db.SQL().Conn(t.Context()) // one connection, from before
	must(t, err)
	defer operator.Close()
	turn := func(on string) {
		t.Helper()
		for _, statement := range []string{ // the second after the commit of the first, or who connects in between stays as it was
			`DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = ` + on + `', current_database()); END $$`,
			`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`,
		} {
			_, err := operator.ExecContext(t.Context(), statement)
			must(t, err)
		}
	}
	start := func() problem.Code {
		w := httptest.NewRecorder()
		post(t, w, "http://"+r.address+"/v1/sessions", `{"application":"1.0.0","api_version":1,"purpose":"locked","card":{"family":"piv","id":"00112233445566778899aabbccddeeff"},`+
			`"public_key":"CQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}`)
		if w.Code == http.StatusCreated {
			return ""
		}
		return problem.Decode(w.Code, w.Body.Bytes()).Code
	}
	until(t, start, "")
	turn("on")
	until(t, start, problem.DatabaseReadOnly)
	turn("off")
	until(t, start, "")
	must(t, r.end())

	turn("on")
	wantCode(t, runFails(t, c), problem.DatabaseReadOnly)
}

// until makes a call until it gives what is wanted: the first ones may find
// connections that were cut.
func until(t testing.TB, call func() problem.Code, want problem.Code) {
	t.Helper()
	var got problem.Code
	for range 40 {
		if got = call(); got == want {
			return
		}
		if got != "" && got != problem.DatabaseGone && got != problem.DatabaseReadOnly {
			break
		}
	}
	t.Fatalf("got %q, want %q", got, want)
}

// post makes a request and keeps the answer.
func post(t testing.TB, w *httptest.ResponseRecorder, url, body string) {
	t.Helper()
	answer, err := http.Post(url, "application/json", strings.NewReader(body))
	must(t, err)
	defer answer.Body.Close()
	w.Code = answer.StatusCode
	_, err = io.Copy(w.Body, answer.Body)
	must(t, err)
}
