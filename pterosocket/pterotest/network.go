package pterotest

import (
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// memoryListener hands the server ends of pipes to an http.Server.
type memoryListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newMemoryListener() *memoryListener {
	return &memoryListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *memoryListener) dial(ctx context.Context) (net.Conn, error) {
	client, server := newPipe()
	select {
	case l.conns <- server:
		return client, nil
	case <-l.closed:
		return nil, &net.OpError{Op: "dial", Net: "memory", Err: net.ErrClosed}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *memoryListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *memoryListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *memoryListener) Addr() net.Addr { return memoryAddr{} }

type memoryAddr struct{}

func (memoryAddr) Network() string { return "memory" }
func (memoryAddr) String() string  { return "memory" }

// faultListener wraps what it accepts.
type faultListener struct {
	net.Listener
	h *host
}

func (l faultListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if l.h.cfg.Bunch > 0 {
		conn = l.h.bunch(conn)
	}
	return &faultConn{Conn: conn}, nil
}

// bunch returns the server's end of a connection through a network that forwards only now and then.
func (h *host) bunch(conn net.Conn) net.Conn {
	network, end := newPipe()
	forward := func(to, from net.Conn) {
		defer to.Close()
		defer from.Close()
		buf := make([]byte, pipeBuffer)
		for {
			n, err := from.Read(buf)
			if n > 0 {
				now := time.Now()
				time.Sleep(now.Truncate(h.cfg.Bunch).Add(h.cfg.Bunch).Sub(now))
				if _, err := to.Write(buf[:n]); err != nil {
					return
				}
			}
			if err != nil {
				return
			}
		}
	}
	h.spawn(func() { forward(network, conn) })
	h.spawn(func() { forward(conn, network) })
	return end
}

// faultConn is a server's end of a connection that can be frozen: from then on it swallows what is written and what
// arrives, as a network does that has gone without closing anything.
type faultConn struct {
	net.Conn
	frozen atomic.Bool
}

func (c *faultConn) Read(p []byte) (int, error) {
	for {
		n, err := c.Conn.Read(p)
		if err != nil || !c.frozen.Load() {
			return n, err
		}
	}
}

func (c *faultConn) Write(p []byte) (int, error) {
	if c.frozen.Load() {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

// reset closes with a RST where the network knows such a thing.
func (c *faultConn) reset() {
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Conn.Close()
}

type connKey struct{}

func withConn(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, conn)
}

func connOf(r *http.Request) *faultConn {
	conn, _ := r.Context().Value(connKey{}).(*faultConn)
	return conn
}
