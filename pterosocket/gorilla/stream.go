package gorilla

import (
	"net"
	"sync"
)

const (
	// readBuffer is what every connection keeps for reading.
	readBuffer = 512
	// burstBuffer is what one borrows while more comes than that.
	burstBuffer = 32 << 10
)

// burstBuffers are *[burstBuffer]byte.
var burstBuffers = sync.Pool{New: func() any { return new([burstBuffer]byte) }}

// stream is the TCP connection beneath. It tells when a Read is about to wait for the network, and reads much at once while much
// comes: an idle connection, of which a program may have thousands, should not keep the memory that a busy one needs.
type stream struct {
	net.Conn
	onWait func() // set before the first Read of a message

	more   bool // the last Read from the network was cut short by its buffer
	burst  *[burstBuffer]byte
	unread []byte // of burst
	err    error  // that came with what is unread
}

func newStream(conn net.Conn) *stream { return &stream{Conn: conn} }

func (s *stream) Read(p []byte) (int, error) {
	if len(s.unread) == 0 {
		if s.err != nil {
			return 0, s.err
		}
		if s.onWait != nil {
			s.onWait()
		}
		if !s.more {
			n, err := s.Conn.Read(p)
			s.more = n == len(p)
			return n, err
		}
		s.burst = burstBuffers.Get().(*[burstBuffer]byte)
		var n int
		n, s.err = s.Conn.Read(s.burst[:])
		s.more = n == len(s.burst)
		s.unread = s.burst[:n]
	}
	n := copy(p, s.unread)
	s.unread = s.unread[n:]
	if len(s.unread) > 0 {
		return n, nil
	}
	burstBuffers.Put(s.burst)
	s.burst, s.unread = nil, nil
	return n, s.err
}
