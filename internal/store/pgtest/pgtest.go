// Package pgtest gives tests a PostgreSQL server of their own: started from
// Debian's package on a Unix socket in a temporary folder, one for each test
// process, with a fresh database for each test. It needs Linux. PostgreSQL
// refuses to run as root; started by root it runs as nobody.
//
// A server never outlives its tests: it stops with the last test that uses it
// (or at the end of Main), and the kernel stops it should the process die.
package pgtest

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
)

// nobody is Debian's user and group for what needs no rights.
const nobody = 65534

// shared is the one server of this process. Only a package variable can be
// shared by tests that know nothing of each other.
var shared struct {
	sync.Mutex
	server *server
	users  int
	made   int
	// template is a database of this server that Prepared copies, "" before
	// the first.
	template string
}

// Main runs the tests of a package and keeps one server up from the first test
// that needs it to the last. Use: func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }.
func Main(m *testing.M) int {
	shared.Lock()
	shared.users++
	shared.Unlock()
	code := m.Run()
	if err := release(); err != nil {
		fmt.Fprintln(os.Stderr, "stop PostgreSQL:", err)
		return 1
	}
	return code
}

// URL gives the URL of a fresh, empty database that lives as long as the test.
func URL(t testing.TB) string {
	t.Helper()
	return fresh(t, "template1")
}

// Prepared gives the same with what prepare has put into the first one: it is
// run once for each server, and every test gets a copy. All callers in a
// process give the same function. prepare leaves no connection open.
func Prepared(t testing.TB, prepare func(url string) error) string {
	t.Helper()
	s, name, err := acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := release(); err != nil {
			t.Errorf("release PostgreSQL: %v", err)
		}
	}()
	preparing.Lock()
	defer preparing.Unlock()
	shared.Lock()
	template := shared.template
	shared.Unlock()
	if template == "" {
		if err := errors.Join(s.exec(t.Context(), `CREATE DATABASE `+name), prepare(s.url(name))); err != nil {
			t.Fatalf("prepare the tests' database: %v", err)
		}
		template = name
		shared.Lock()
		shared.template = template
		shared.Unlock()
	}
	return fresh(t, template) // one at a time: a template that is being copied is locked
}

// preparing makes those who prepare or copy a template take turns.
var preparing sync.Mutex

func fresh(t testing.TB, template string) string {
	t.Helper()
	s, name, err := acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(s.exec(context.Background(), `DROP DATABASE `+name+` WITH (FORCE)`), release()); err != nil {
			t.Errorf("remove the test's database: %v", err)
		}
	})
	if err := s.exec(t.Context(), `CREATE DATABASE `+name+` TEMPLATE `+template); err != nil {
		t.Fatalf("create the test's database: %v", err)
	}
	return s.url(name)
}

func acquire(ctx context.Context) (*server, string, error) {
	shared.Lock()
	defer shared.Unlock()
	if shared.server == nil {
		s, err := start(ctx)
		if err != nil {
			return nil, "", err
		}
		shared.server = s
	}
	shared.users++
	shared.made++
	return shared.server, fmt.Sprintf("test_%d", shared.made), nil
}

func release() error {
	shared.Lock()
	defer shared.Unlock()
	shared.users--
	if shared.users > 0 || shared.server == nil {
		return nil
	}
	s := shared.server
	shared.server, shared.template = nil, ""
	return s.stop()
}

// server is a running PostgreSQL.
type server struct {
	folder string
	cmd    *exec.Cmd
	ended  chan error // gets what Wait returned
	admin  *sql.DB
}

func start(ctx context.Context) (_ *server, err error) {
	bin, err := binFolder()
	if err != nil {
		return nil, err
	}
	s := &server{ended: make(chan error, 1)}
	if s.folder, err = os.MkdirTemp("", "pgtest"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(s.folder))
		}
	}()
	if os.Getuid() == 0 {
		if err := os.Chown(s.folder, nobody, nobody); err != nil {
			return nil, err
		}
	}
	data := filepath.Join(s.folder, "data")
	initdb := command(filepath.Join(bin, "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8",
		"--locale", "C", "--no-sync", "--no-instructions")
	initdb.Dir = s.folder
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	if err := s.run(filepath.Join(bin, "postgres"), "-D", data, "-k", s.folder, "-c", "listen_addresses=",
		"-c", "max_connections=200", "-c", "unix_socket_permissions=0700"); err != nil {
		return nil, err
	}
	if s.admin, err = sql.Open("pgx", s.url("postgres")); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, s.admin.PingContext(ctx)
}

// run starts the server and waits until it says that it is ready. The
// goroutine stays on its thread, because the kernel's parent death signal
// follows the thread that started the child.
func (s *server) run(program string, args ...string) error {
	s.cmd = command(program, args...)
	s.cmd.Dir = s.folder
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		return err
	}
	started := make(chan error, 1)
	log := make(chan string, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := s.cmd.Start()
		started <- err
		if err == nil {
			<-log // the pipe is read to its end before Wait closes it
			s.ended <- s.cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("start PostgreSQL: %w", err)
	}
	ready := make(chan error, 1)
	go func() {
		lines := bufio.NewScanner(stderr)
		var early strings.Builder
		for lines.Scan() {
			fmt.Fprintln(&early, lines.Text())
			if strings.Contains(lines.Text(), "ready to accept connections") {
				ready <- nil
				break
			}
		}
		if lines.Err() != nil || !strings.Contains(early.String(), "ready to accept") {
			ready <- fmt.Errorf("PostgreSQL did not start:\n%s", early.String())
		}
		_, _ = io.Copy(io.Discard, stderr)
		log <- ""
	}()
	return <-ready
}

// stop ends the server ("fast shutdown": SIGINT) and removes its folder.
func (s *server) stop() error {
	err := errors.Join(s.admin.Close(), s.cmd.Process.Signal(syscall.SIGINT))
	select {
	case <-s.ended:
	case <-time.After(20 * time.Second):
		err = errors.Join(err, errors.New("PostgreSQL does not stop"), s.cmd.Process.Signal(syscall.SIGQUIT), <-s.ended)
	}
	return errors.Join(err, os.RemoveAll(s.folder))
}

func (s *server) url(database string) string {
	q := url.Values{"host": {s.folder}, "sslmode": {"disable"}, "user": {"postgres"}}
	return "postgres:///" + database + "?" + q.Encode()
}

func (s *server) exec(ctx context.Context, query string) error {
	_, err := s.admin.ExecContext(ctx, query)
	return err
}

// command runs a program without root's rights, to be stopped by the kernel
// when this process dies.
func command(program string, args ...string) *exec.Cmd {
	// A change of user clears the death signal, so it is set after it.
	args = append([]string{"setpriv", "--pdeathsig", "SIGQUIT", "--", program}, args...)
	if os.Getuid() == 0 {
		id := fmt.Sprint(nobody)
		args = append([]string{"setpriv", "--reuid=" + id, "--regid=" + id, "--clear-groups", "--"}, args...)
	}
	return exec.Command(args[0], args[1:]...)
}

// binFolder finds the newest PostgreSQL of Debian's packages.
func binFolder() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return "", errors.New("this test needs PostgreSQL: apt-get install postgresql-15")
	}
	return filepath.Dir(found[len(found)-1]), nil
}
