package gorilla

import (
	"errors"
	"io"
	"net"
	"testing"
)

// chunked is a connection on which one chunk comes a Read, the last one together with the error.
type chunked struct {
	net.Conn
	chunks [][]byte
	err    error
}

func (c *chunked) Read(p []byte) (int, error) {
	n := copy(p, c.chunks[0])
	if c.chunks[0] = c.chunks[0][n:]; len(c.chunks[0]) > 0 {
		return n, nil
	}
	if c.chunks = c.chunks[1:]; len(c.chunks) == 0 {
		c.chunks = [][]byte{nil}
		return n, c.err
	}
	return n, nil
}

// What comes together with an error, as from a TLS connection that says goodbye, is read first. A large buffer is held only while there
// is something in it.
func TestStream(t *testing.T) {
	for _, sizes := range [][]int{{0}, {10}, {readBuffer}, {readBuffer, 11}, {readBuffer, burstBuffer, burstBuffer, 1}, {readBuffer + 1, 2}, {3 * burstBuffer}} {
		conn := &chunked{err: io.EOF}
		want := 0
		for _, size := range sizes {
			conn.chunks = append(conn.chunks, make([]byte, size))
			want += size
		}
		s, waits := newStream(conn), 0
		s.onWait = func() {
			if waits++; s.burst != nil {
				t.Errorf("%v: it waits with a large buffer in hand", sizes)
			}
		}
		got := 0
		var err error
		for p := make([]byte, readBuffer); err == nil; {
			var n int
			n, err = s.Read(p)
			got += n
		}
		if got != want || !errors.Is(err, io.EOF) || waits == 0 {
			t.Errorf("%v: %d bytes of %d, %v, waited %d times", sizes, got, want, err, waits)
		}
		if n, err := s.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) || s.burst != nil {
			t.Errorf("%v: behind the end: %d, %v", sizes, n, err)
		}
	}
}
