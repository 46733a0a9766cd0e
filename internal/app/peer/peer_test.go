package peer

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"testing"
)

// accept gives the server's end of a connection that dial makes.
func accept(t *testing.T, network, address string, dial func(address string)) net.Conn {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	dial(l.Addr().String())
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func TestOwnConnection(t *testing.T) {
	conn := accept(t, "tcp4", "127.0.0.1:0", func(address string) {
		client, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = client.Close() })
	})
	if err := Check(conn); err != nil {
		t.Error(err)
	}
}

func TestClosedConnectionIsUnknown(t *testing.T) {
	conn := accept(t, "tcp4", "127.0.0.1:0", func(address string) {
		client, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		_ = client.Close()
	})
	// The kernel shows the client's abandoned socket as root's.
	if err := Check(conn); !errors.Is(err, ErrUnknown) {
		t.Errorf("got %v", err)
	}
}

// TestAnotherUser connects as nobody. It needs root to become nobody; anyone
// else is somebody whose connection is refused when the table says so, which
// TestProcTable covers.
func TestAnotherUser(t *testing.T) {
	if runtime.GOOS != "linux" || os.Getuid() != 0 {
		return
	}
	conn := accept(t, "tcp4", "127.0.0.1:0", func(address string) {
		host, port, _ := net.SplitHostPort(address)
		client := exec.Command("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
			"bash", "-c", "exec 3<>/dev/tcp/"+host+"/"+port+"; echo connected; read -r -u 3")
		out, err := client.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := client.Start(); err != nil {
			t.Fatalf("start a client as nobody (Debian: apt-get install util-linux): %v", err)
		}
		t.Cleanup(func() { _ = client.Process.Kill(); _ = client.Wait() })
		if _, err := out.Read(make([]byte, 16)); err != nil {
			t.Fatal(err)
		}
	})
	if err := Check(conn); !errors.Is(err, ErrOther) {
		t.Errorf("got %v", err)
	}
}

const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000  1000        0 11 1 0
   1: 0100007F:C350 0100007F:1F90 01 00000000:00000000 00:00000000 00000000  1001        0 22 1 0
   2: 0000000000000000FFFF00000100007F:C351 0000000000000000FFFF00000100007F:1F90 01 00000000:00000000 00:00000000 00000000  1002        0 33 1 0
   3: 0100007F:C352 0100007F:1F90 06 00000000:00000000 03:00000000 00000000     0        0 0 3 0
`

func TestProcTable(t *testing.T) {
	server := netip.MustParseAddrPort("127.0.0.1:8080")
	for client, want := range map[string]int{"127.0.0.1:50000": 1001, "127.0.0.1:50001": 1002} {
		if s, ok := findIn(table, netip.MustParseAddrPort(client), server); !ok || s.uid != want {
			t.Errorf("%s: %v %v", client, s, ok)
		}
	}
	for _, client := range []string{"127.0.0.1:50002", "127.0.0.1:50003", "127.0.0.2:50000"} {
		if s, ok := findIn(table, netip.MustParseAddrPort(client), server); ok {
			t.Errorf("%s: found %v", client, s)
		}
	}
}

// pcbList builds macOS's list with one connection.
func pcbList(uid byte) []byte {
	list := make([]byte, 24) // struct xinpgen
	list[0] = 24
	record := func(kind byte, size int) []byte {
		r := make([]byte, size)
		r[0], r[4] = byte(size), kind
		return r
	}
	inp := record(kindINPCB, 104)
	copy(inp[inpLocalPort:], []byte{0xC3, 0x50})
	copy(inp[inpForeignPort:], []byte{0x1F, 0x90})
	inp[inpVersion] = 1
	copy(inp[inpLocal+12:], []byte{127, 0, 0, 1})
	copy(inp[inpForeign+12:], []byte{127, 0, 0, 1})
	so := record(kindSocket, 100) // 100 fills up to 104
	so[socketUID] = uid
	return append(append(append(list, inp...), so...), make([]byte, 4)...)
}

func TestPCBList(t *testing.T) {
	client, server := netip.MustParseAddrPort("127.0.0.1:50000"), netip.MustParseAddrPort("127.0.0.1:8080")
	if uid, ok := findInPCBList(pcbList(7), client, server); !ok || uid != 7 {
		t.Errorf("got %d %v", uid, ok)
	}
	if _, ok := findInPCBList(pcbList(7), server, client); ok {
		t.Error("found our own end of the connection")
	}
}

func TestWindowsTable(t *testing.T) {
	row := []byte{1, 0, 0, 0, 5, 0, 0, 0, 127, 0, 0, 1, 0xC3, 0x50, 0, 0, 127, 0, 0, 1, 0x1F, 0x90, 0, 0, 42, 0, 0, 0}
	client, server := netip.MustParseAddrPort("127.0.0.1:50000"), netip.MustParseAddrPort("127.0.0.1:8080")
	if pid, ok := findInTable(row, false, client, server); !ok || pid != 42 {
		t.Errorf("got %d %v", pid, ok)
	}
	row6 := make([]byte, 60)
	row6[0], row6[4+15], row6[4+20], row6[4+21], row6[4+24+15], row6[4+44], row6[4+45], row6[4+52] = 1, 1, 0xC3, 0x50, 1, 0x1F, 0x90, 43
	if pid, ok := findInTable(row6, true, netip.MustParseAddrPort("[::1]:50000"), netip.MustParseAddrPort("[::1]:8080")); !ok || pid != 43 {
		t.Errorf("got %d %v", pid, ok)
	}
}

// FuzzTables feeds the tables' parsers with anything.
func FuzzTables(f *testing.F) {
	f.Add([]byte(table))
	f.Add(pcbList(1))
	f.Add([]byte{255, 255, 255, 255, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		a, b := netip.MustParseAddrPort("127.0.0.1:50000"), netip.MustParseAddrPort("127.0.0.1:8080")
		findIn(string(data), a, b)
		findInPCBList(data, a, b)
		findInTable(data, false, a, b)
		findInTable(data, true, a, b)
	})
}
