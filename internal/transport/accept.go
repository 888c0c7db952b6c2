package transport

import (
	"context"
	"io"
	"net/http"
	"slices"

	"nhooyr.io/websocket"
)

// Accept answers a handshake, whatever its Origin; pterotest's daemon checks that itself. raw is the stream that the
// request came in. With compress it takes up an offer of permessage-deflate and then compresses every message.
func Accept(w http.ResponseWriter, r *http.Request, raw io.Closer, compress bool) (*Conn, error) {
	opts := &websocket.AcceptOptions{InsecureSkipVerify: true, CompressionThreshold: 1}
	if compress {
		opts.CompressionMode = websocket.CompressionNoContextTakeover
	}
	ws, err := websocket.Accept(w, r, opts)
	if err != nil {
		return nil, err
	}
	return newConn(ws, raw), nil
}

// WriteFragmented writes one text message in frames of at most size bytes, with an empty final one, as the daemons'
// library does with a message that is longer than its buffer.
func (c *Conn) WriteFragmented(ctx context.Context, message []byte, size int) error {
	w, err := c.ws.Writer(ctx, websocket.MessageText)
	if err != nil {
		return err
	}
	for piece := range slices.Chunk(message, size) {
		if _, err := w.Write(piece); err != nil {
			return err
		}
	}
	return w.Close()
}

// Abort drops the stream without a close frame, after which nothing more is sent.
func (c *Conn) Abort() {
	_ = c.raw.Close()
	c.closing.Do(func() { _ = c.ws.CloseNow() })
}
