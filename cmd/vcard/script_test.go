package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"latchkey/internal/card/vpcd"
	"latchkey/internal/scripttest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"vcard": main})
}

func TestScripts(t *testing.T) {
	scripttest.Run(t, map[string]scripttest.Command{"reader": reader})
}

// patience is how long the reader waits for the card.
const patience = 20 * time.Second

// selectPIV is SELECT with PIV's identifier (SP 800-73-4 part 1 section 2.2).
var selectPIV = []byte{0x00, 0xA4, 0x04, 0x00, 0x05, 0xA0, 0x00, 0x00, 0x03, 0x08, 0x00}

// reader ANSWER vcard ARG...: runs vcard with a virtual reader, selects PIV
// and wants an answer that ends in ANSWER, "torn" for a card that is torn out.
// Then it stops vcard as Ctrl-C does, unless the card has ended it. What vcard
// prints goes to the file said.
func reader(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: reader ANSWER PROGRAM ARG...")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	defer l.Close()
	ts.Check(l.(*net.TCPListener).SetDeadline(time.Now().Add(patience)))
	path := ts.Getenv("PATH")
	program, err := findIn(path, args[1])
	ts.Check(err)
	cmd := exec.Command(program, append(args[2:], "--vpcd", l.Addr().String())...)
	cmd.Args[0] = args[1]
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = append(os.Environ(), "PATH="+path)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	ts.Check(cmd.Start())
	defer func() { _ = cmd.Process.Kill() }() // where something is wrong
	answer := exchange(ts, l)
	if answer != "torn" {
		ts.Check(cmd.Process.Signal(os.Interrupt))
	}
	err = cmd.Wait()
	ts.Logf("%s", &said)
	ts.Check(os.WriteFile(ts.MkAbs("said"), said.Bytes(), 0o600))
	if !strings.HasSuffix(answer, args[0]) {
		ts.Fatalf("the card answers %s, want %s", answer, args[0])
	}
	if (err != nil) != (answer == "torn") {
		ts.Fatalf("the program ended with %v", err)
	}
}

// exchange is one visit of the card: ATR, then SELECT. It gives the answer in
// hexadecimal.
func exchange(ts *testscript.TestScript, l net.Listener) string {
	conn, err := l.Accept()
	ts.Check(err)
	defer conn.Close()
	ts.Check(conn.SetDeadline(time.Now().Add(patience)))
	const powerOn, getATR = 1, 4
	ts.Check(vpcd.Write(conn, []byte{powerOn}))
	ts.Check(vpcd.Write(conn, []byte{getATR}))
	atr, err := vpcd.Read(conn)
	ts.Check(err)
	if len(atr) < 2 || atr[0] != 0x3B {
		ts.Fatalf("ATR %X", atr)
	}
	ts.Check(vpcd.Write(conn, selectPIV))
	answer, err := vpcd.Read(conn)
	if err != nil {
		return "torn"
	}
	return fmt.Sprintf("%X", answer)
}

// findIn finds a program in the folders of a script's PATH.
func findIn(path, name string) (string, error) {
	for _, folder := range filepath.SplitList(path) {
		if found, err := exec.LookPath(filepath.Join(folder, name)); err == nil {
			return found, nil
		}
	}
	return "", fmt.Errorf("%s is not in the PATH", name)
}
