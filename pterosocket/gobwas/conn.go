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

	closing sync.Once
	writing sync.Mutex // held while a frame is written
	said    bool       // a close frame has been written; under writing

	mu    sync.Mutex
	owed  answer                   // what Read has to answer and could not write yet
	pings uint64                   // how many were sent
	pongs map[string]chan struct{} // the pings that wait for an answer
}

var _ pterosocket.Waiter = (*conn)(nil)

func newConn(stream io.ReadWriteCloser, deflate bool) *conn {
	return &conn{stream: stream, deflate: deflate, in: window{stream: stream}, ended: make(chan struct{})}
}

// OnWait lets Read call f whenever it is about to wait for the network.
func (c *conn) OnWait(f func()) { c.in.onWait = f }
