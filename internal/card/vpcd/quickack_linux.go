package vpcd

import (
	"io"
	"net"

	"golang.org/x/sys/unix"
)

// quickAck acknowledges each packet at once. The driver writes a message in
// two packets and waits, by Nagle's rule, for the first to be acknowledged: a
// delayed acknowledgement would cost 40 ms a command. The kernel forgets the
// setting, so it is made before every read.
func quickAck(c net.Conn) io.Reader {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return c
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return c
	}
	return quickReader{c, func() {
		// Where it cannot be set, commands are slow and nothing else.
		_ = raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1) })
	}}
}

type quickReader struct {
	io.Reader
	set func()
}

func (q quickReader) Read(p []byte) (int, error) {
	q.set()
	return q.Reader.Read(p)
}
