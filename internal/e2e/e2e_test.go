// Package e2e runs the programs as people do: latchkeyd, latchkey and vcard as
// processes, a private pcscd with a virtual reader between them, messages as
// files. Afterwards the card tools of others say what is on the card.
package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"latchkey/internal/card/pcsctest"
	"latchkey/internal/store/pgtest"
)

const (
	email    = "sam.taylor@example.org"
	oldPUK   = "73519264"
	passcode = "840261"
	patience = 60 * time.Second
)

// programs is the folder of the built programs.
var programs string

func TestMain(m *testing.M) {
	code := 1
	defer func() { os.Exit(code) }()
	folder, err := os.MkdirTemp("", "latchkey-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	defer os.RemoveAll(folder)
	build := exec.Command("go", "build", "-o", folder+"/", "latchkey/cmd/...")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build the programs:", err)
		return
	}
	programs = folder
	code = pgtest.Main(m)
}

// world is one installation: a service, a reader and a card.
type world struct {
	t        testing.TB
	folder   string
	stack    *pcsctest.Service
	service  string // address
	database string
	state    string // file of the card
	mail     string // folder of messages
	vcard    *process
	daemon   *process
	settings []string // more of the environment
}

func newWorld(t testing.TB, database string, cardFlags ...string) *world {
	t.Helper()
	w := &world{t: t, folder: t.TempDir(), stack: pcsctest.Start(t), database: database}
	w.state, w.mail = filepath.Join(w.folder, "card.json"), filepath.Join(w.folder, "mail")
	w.must("", "latchkeyd", "init")
	w.insert(append([]string{"--pin", "246813", "--puk", oldPUK, "--locked"}, cardFlags...)...)
	w.enrol()
	w.serve(freeAddress(t))
	return w
}

// insert puts the card into the reader.
func (w *world) insert(flags ...string) {
	w.t.Helper()
	w.vcard = w.start("The card ", "vcard", append([]string{"--vpcd", w.stack.VPCDAddress, "--state", w.state}, flags...)...)
}

func (w *world) enrol() {
	w.t.Helper()
	holders := filepath.Join(w.folder, "holders.csv")
	if err := os.WriteFile(holders, []byte("staff_number,name,email\n1001,Sam Taylor,"+email+"\n"), 0o600); err != nil {
		w.t.Fatal(err)
	}
	cards := filepath.Join(w.folder, "cards.csv")
	if err := os.WriteFile(cards, []byte(w.must("", "vcard", "export", "--state", w.state, "--staff-number", "1001")), 0o600); err != nil {
		w.t.Fatal(err)
	}
	w.must("", "latchkeyd", "import", "cardholders", holders)
	w.must("", "latchkeyd", "import", "cards", cards)
}

func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (w *world) serve(address string) {
	w.t.Helper()
	w.service = "http://" + address
	w.daemon = w.start("latchkeyd is ready", "latchkeyd", "serve", "--listen", address)
}

func (w *world) environment() []string {
	return append(append(w.stack.Environment(), w.settings...), "HOME="+w.folder, "XDG_CONFIG_HOME="+filepath.Join(w.folder, "config"),
		"LATCHKEYD_DATA="+filepath.Join(w.folder, "data"), "LATCHKEYD_DATABASE="+w.database, "LATCHKEYD_MAIL_DIR="+w.mail,
		"LATCHKEY_SERVICE="+w.service, "PATH="+programs+":"+os.Getenv("PATH"))
}

// command is one of our programs, or one of the card tools.
func (w *world) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	if ours := filepath.Join(programs, name); filepath.Base(name) == name {
		if _, err := os.Stat(ours); err == nil {
			name = ours
		}
	}
	c := exec.CommandContext(ctx, name, args...)
	c.Env = w.environment()
	return c
}

// try runs a program to its end and gives everything that it printed.
func (w *world) try(input, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	c := w.command(ctx, name, args...)
	c.Stdin = strings.NewReader(input)
	out, err := c.CombinedOutput()
	return string(out), err
}

func (w *world) must(input, name string, args ...string) string {
	w.t.Helper()
	out, err := w.try(input, name, args...)
	if err != nil {
		w.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

// process is a program that runs on.
type process struct {
	command *exec.Cmd
	output  *lines
	ended   chan struct{} // closed
}

// start starts a program and waits until it prints words.
func (w *world) start(words, name string, args ...string) *process {
	w.t.Helper()
	p := &process{command: w.command(context.Background(), name, args...), output: newLines(), ended: make(chan struct{})}
	p.command.Stdout, p.command.Stderr = p.output, p.output
	if err := p.command.Start(); err != nil {
		w.t.Fatal(err)
	}
	go func() {
		_ = p.command.Wait() // what it printed says why
		close(p.ended)
	}()
	w.t.Cleanup(p.stop)
	if err := p.output.wait(words, patience, p.ended); err != nil {
		w.t.Fatalf("%s: %v", name, err)
	}
	return p
}

// stop ends the program as Ctrl-C does.
func (p *process) stop() { p.end(os.Interrupt) }

// kill ends it as a power cut does.
func (p *process) kill() { p.end(os.Kill) }

func (p *process) end(s os.Signal) {
	if p.command.Process.Signal(s) != nil {
		return // it has ended
	}
	select {
	case <-p.ended:
	case <-time.After(20 * time.Second):
		_ = p.command.Process.Kill()
		<-p.ended
	}
}

// unlock runs latchkey unlock, reading the code from the newest message.
func (w *world) unlock(fresh string) (string, error) {
	w.t.Helper()
	return w.unlockWith(fresh, func() {})
}

// unlockWith does the same, and something else between sending for the code
// and typing it.
func (w *world) unlockWith(fresh string, between func()) (string, error) {
	w.t.Helper()
	before := len(w.messages())
	return w.unlockBy(fresh, func() string {
		code := w.code(before)
		between()
		return code
	}, "--email", strings.ToUpper(email))
}

// unlockBy runs latchkey unlock for an address, with a code that comes some
// other way.
func (w *world) unlockBy(fresh string, code func() string, address ...string) (string, error) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	c := w.command(ctx, "latchkey", append([]string{"unlock"}, address...)...)
	in, err := c.StdinPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	out := newLines()
	c.Stdout, c.Stderr = out, out
	if err := c.Start(); err != nil {
		w.t.Fatal(err)
	}
	var failed error
	ended := make(chan struct{})
	go func() {
		failed = c.Wait()
		close(ended)
	}()
	if err := out.wait("Security code", patience, ended); err != nil {
		_ = c.Process.Kill()
		<-ended
		return out.String(), failed
	}
	fmt.Fprintf(in, "%s\n%s\n%s\n", code(), fresh, fresh)
	<-ended
	return out.String(), failed
}

func (w *world) mustUnlock(fresh string) string {
	w.t.Helper()
	out, err := w.unlock(fresh)
	if err != nil || !strings.Contains(out, "Your smartcard is unlocked.") {
		w.t.Fatalf("unlock: %v\n%s", err, out)
	}
	return out
}

func (w *world) messages() []string {
	files, err := filepath.Glob(filepath.Join(w.mail, "*.eml"))
	if err != nil {
		w.t.Fatal(err)
	}
	return files // their names begin with the time
}

// code waits for a message with a security code beyond the first n.
func (w *world) code(n int) string {
	w.t.Helper()
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		for _, file := range w.messages()[n:] {
			raw, err := os.ReadFile(file)
			if err != nil {
				w.t.Fatal(err)
			}
			if m := regexp.MustCompile(`(?m)^ +(\d{3}) (\d{3})\s*$`).FindSubmatch(raw); m != nil {
				return string(m[1]) + "-" + string(m[2]) // as people type it
			}
		}
		time.Sleep(20 * time.Millisecond) // a folder tells nobody when a file comes
	}
	w.t.Fatal("no message with a security code came")
	return ""
}

// card is what the card remembers.
type cardState struct {
	PIN      string `json:"pin"`
	PUK      string `json:"puk"`
	PINTries int    `json:"pin_tries"`
	PUKTries int    `json:"puk_tries"`
}

func (w *world) card() cardState {
	w.t.Helper()
	var s cardState
	if err := json.Unmarshal([]byte(w.must("", "vcard", "show", "--json", "--state", w.state)), &s); err != nil {
		w.t.Fatal(err)
	}
	return s
}

func (w *world) contains(text string, words ...string) {
	w.t.Helper()
	for _, word := range words {
		if !strings.Contains(text, word) {
			w.t.Errorf("%q is not in:\n%s", word, text)
		}
	}
}
