package gorilla

import (
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"github.com/pterosocket/pterosocket-go/internal/message"
	"github.com/pterosocket/pterosocket-go/pterosocket"
)

// conn is a pterosocket.Conn.
type conn struct {
	ws     *websocket.Conn
	stream *stream
	buf    []byte        // of Read
	ended  chan struct{} // closed when Read has returned for the last time
	end    sync.Once

	closing sync.Once
	pings   atomic.Uint64
	mu      sync.Mutex
	pongs   map[string]chan struct{} // the pings that wait for an answer
}

// keepBuffer bounds the buffer that a connection holds on to between messages.
const keepBuffer = 4 << 10

func newConn(ws *websocket.Conn, stream *stream) *conn {
	c := &conn{ws: ws, stream: stream, ended: make(chan struct{})}
	ws.SetPongHandler(func(text string) error {
		c.mu.Lock()
		defer c.mu.Unlock()
		if pong := c.pongs[text]; pong != nil {
			close(pong)
			delete(c.pongs, text)
		}
		return nil
	})
	return c
}

// OnWait lets Read call f whenever it is about to wait for the network.
func (c *conn) OnWait(f func()) { c.stream.onWait = f }

func (c *conn) Read(limit int64) ([]byte, error) {
	_, r, err := c.ws.NextReader()
	if err != nil {
		return nil, c.readError(err)
	}
	data, err := message.Read(r, c.buf, limit)
	if c.buf = data; cap(data) > keepBuffer {
		c.buf = nil
	}
	switch err {
	case nil:
		return data, nil
	case message.ErrTooLong:
		return nil, pterosocket.ErrFrameTooLong
	}
	return nil, c.readError(err)
}

// readError ends reading and says why it ended.
func (c *conn) readError(err error) error {
	c.end.Do(func() { close(c.ended) })
	var closed *websocket.CloseError
	switch {
	case errors.As(err, &closed) && closed.Code == websocket.CloseAbnormalClosure: // the library's name for an EOF
		return io.ErrUnexpectedEOF
	case errors.As(err, &closed):
		return &pterosocket.CloseError{Code: closed.Code, Reason: closed.Text}
	case errors.Is(err, io.EOF):
		return io.ErrUnexpectedEOF
	case errors.Is(err, net.ErrClosed):
		return net.ErrClosed
	}
	return err
}

func (c *conn) Write(ctx context.Context, message []byte) error {
	stop := context.AfterFunc(ctx, func() { _ = c.stream.Close() })
	err := c.ws.WriteMessage(websocket.TextMessage, message)
	if !stop() {
		return context.Cause(ctx)
	}
	return err
}

func (c *conn) Ping(ctx context.Context) error {
	text := strconv.FormatUint(c.pings.Add(1), 10)
	pong := make(chan struct{})
	c.mu.Lock()
	if c.pongs == nil {
		c.pongs = make(map[string]chan struct{})
	}
	c.pongs[text] = pong
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.pongs, text)
	}()
	// What cannot even be written by the end of ctx never will be, and the library writes nothing after it.
	stop := context.AfterFunc(ctx, func() { _ = c.stream.Close() })
	err := c.ws.WriteControl(websocket.PingMessage, []byte(text), time.Now().Add(controlTimeout))
	if !stop() {
		return context.Cause(ctx)
	}
	if err != nil {
		return err
	}
	select {
	case <-pong:
		return nil
	case <-c.ended:
		return net.ErrClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (c *conn) Close(ctx context.Context, code int, reason string) error {
	err := net.ErrClosed
	c.closing.Do(func() {
		if ctx.Err() == nil {
			if c.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason), deadline(ctx)) == nil {
				select {
				case <-c.ended: // with the peer's close frame, or without
				case <-ctx.Done():
				}
			}
		}
		err = c.stream.Close()
	})
	return err
}

// controlTimeout is how long a control frame may take to be written, whatever ctx allows.
const controlTimeout = time.Minute

func deadline(ctx context.Context) time.Time {
	if d, ok := ctx.Deadline(); ok {
		return d
	}
	return time.Now().Add(controlTimeout)
}
