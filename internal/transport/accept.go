package transport

import (
	"bufio"
	"context"

	"net"
	"net/http"

	"nhooyr.io/websocket"
)

// Accept answers a handshake, whatever its Origin; pterotest's daemon checks that itself. With compress it takes up an
// offer of permessage-deflate and then compresses every message.
func Accept(w http.ResponseWriter, r *http.Request, compress bool) (*Conn, error) {
	hijacked := &hijack{ResponseWriter: w}
	opts := &websocket.AcceptOptions{InsecureSkipVerify: true, CompressionMode: websocket.CompressionDisabled}
	if compress {
		opts.CompressionMode = websocket.CompressionNoContextTakeover
		opts.CompressionThreshold = 1
	}
	ws, err := websocket.Accept(hijacked, r, opts)
	if err != nil {
		return nil, err
	}
	ws.SetReadLimit(-1)
	return &Conn{ws: ws, raw: hijacked.conn}, nil
}

type hijack struct {
	http.ResponseWriter
	conn net.Conn
}

func (h *hijack) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	h.conn = conn
	return conn, rw, err
}

// WriteFragmented writes one text message in frames of at most size bytes, with an empty final one, as the daemons'
// library does with a message that is longer than its buffer.
func (c *Conn) WriteFragmented(ctx context.Context, message []byte, size int) error {
	w, err := c.ws.Writer(ctx, websocket.MessageText)
	if err != nil {
		return err
	}
	for len(message) > 0 {
		n := min(size, len(message))
		if _, err := w.Write(message[:n]); err != nil {
			return err
		}
		message = message[n:]
	}
	return w.Close()
}

// Abort drops the stream without a close frame, after which nothing more is sent.
func (c *Conn) Abort() {
	_ = c.raw.Close()
	c.closing.Do(func() { _ = c.ws.CloseNow() })
}
