package gobwas

import (
	"io"
	"sync"

	"github.com/gobwas/ws"

	"github.com/pterosocket/pterosocket-go/pterosocket"
)

// conn is a pterosocket.Conn.
type conn struct {
	stream  io.ReadWriteCloser
	deflate bool // messages may be compressed

	// Of Read.
	in      window
	header  [ws.MaxHeaderSize]byte
	message []byte        // for what has to be put together
	readErr error         // why reading has ended
	ended   chan struct{} // closed when it has

	turn chan struct{} // holds something while a frame is written
	said bool          // a close frame has been written; of whose turn it is

	closing sync.Once
	tear    sync.Once
	tearErr error

	mu    sync.Mutex
	owed  answer                   // what Read has to answer and could not write yet
	pings uint64                   // how many were sent
	pongs map[string]chan struct{} // the pings that wait for an answer
}

var _ pterosocket.Waiter = (*conn)(nil)

func newConn(stream io.ReadWriteCloser, deflate bool) *conn {
	return &conn{stream: stream, deflate: deflate, in: window{stream: stream}, ended: make(chan struct{}), turn: make(chan struct{}, 1)}
}

// tearDown closes the stream, which ends whatever waits for it.
func (c *conn) tearDown() error {
	c.tear.Do(func() { c.tearErr = c.stream.Close() })
	return c.tearErr
}

// OnWait lets Read call f whenever it is about to wait for the network.
func (c *conn) OnWait(f func()) { c.in.onWait = f }
