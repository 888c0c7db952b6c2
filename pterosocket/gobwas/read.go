package gobwas

import (
	"errors"
	"fmt"
	"io"
	"net"
	"unicode/utf8"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsflate"

	"github.com/pterosocket/pterosocket-go/internal/message"
	"github.com/pterosocket/pterosocket-go/pterosocket"
)

// Read returns the next message. One that came in a piece lies where it was received.
func (c *conn) Read(limit int64) ([]byte, error) {
	if c.readErr != nil {
		return nil, c.readErr
	}
	data, err := c.read(limit)
	if err != nil && err != pterosocket.ErrFrameTooLong {
		return nil, c.end(err)
	}
	return data, err
}

func (c *conn) read(limit int64) ([]byte, error) {
	if data, ok := c.in.text(limit); ok {
		return data, nil
	}
	h, compressed, err := c.next(ws.StateClientSide)
	if err != nil {
		return nil, err
	}
	if h.Fin && !compressed && h.Length <= min(limit, burstSize) {
		return c.in.take(int(h.Length))
	}
	return c.assemble(h, compressed, limit)
}

// next returns the header of the next data frame, and answers the control frames before it.
func (c *conn) next(state ws.State) (h ws.Header, compressed bool, err error) {
	for {
		if h, err = ws.ReadHeaderBuffer(&c.in, c.header[:]); err != nil {
			return h, false, err
		}
		if c.deflate && h.Rsv != 0 {
			if h, compressed, err = wsflate.UnsetBit(h); err != nil {
				return h, false, err
			}
		}
		if err := ws.CheckHeader(h, state); err != nil {
			return h, false, err
		}
		if !h.OpCode.IsControl() {
			return h, compressed, nil
		}
		if err := c.control(h); err != nil {
			return h, false, err
		}
	}
}

// keepBuffer bounds the buffer that a connection holds on to between messages.
const keepBuffer = 4 << 10

// assemble reads a message that is compressed, or in fragments, or large, or too long.
func (c *conn) assemble(h ws.Header, compressed bool, limit int64) ([]byte, error) {
	pieces := &fragments{conn: c, left: h.Length, last: h.Fin}
	var (
		data []byte
		err  error
	)
	if compressed {
		data, err = inflate(pieces, c.message, limit)
	} else {
		data, err = message.Read(pieces, c.message, limit)
	}
	if c.message = data; cap(data) > keepBuffer {
		c.message = nil
	}
	if err == message.ErrTooLong {
		err = pterosocket.ErrFrameTooLong
	}
	return data, err
}

// fragments is what a message consists of.
type fragments struct {
	conn *conn
	left int64 // of this one
	last bool
}

func (f *fragments) Read(p []byte) (int, error) {
	for f.left == 0 {
		if f.last {
			return 0, io.EOF
		}
		h, _, err := f.conn.next(ws.StateClientSide | ws.StateFragmented)
		if err != nil {
			return 0, unexpected(err)
		}
		f.left, f.last = h.Length, h.Fin
	}
	n, err := f.conn.in.Read(p[:min(int64(len(p)), f.left)])
	f.left -= int64(n)
	return n, unexpected(err)
}

// ended reports whether the message has been read to its end.
func (f *fragments) ended() bool { return f.last && f.left == 0 }

// unexpected turns an io.EOF that does not mean the end of a message into an error that does not mean it either.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// control answers a control frame.
func (c *conn) control(h ws.Header) error {
	payload, err := c.in.take(int(h.Length)) // 125 bytes at most
	if err != nil {
		return err
	}
	switch h.OpCode {
	case ws.OpPing:
		c.owe(ws.OpPong, payload)
	case ws.OpPong:
		c.ponged(string(payload))
	case ws.OpClose:
		if len(payload) == 0 {
			return &pterosocket.CloseError{Code: int(ws.StatusNoStatusRcvd)}
		}
		code, reason := ws.ParseCloseFrameData(payload)
		if !mayBeSent(code) || !utf8.ValidString(reason) {
			return ws.ProtocolError("a close frame with a code or reason that may not be sent")
		}
		return &pterosocket.CloseError{Code: int(code), Reason: reason}
	}
	return nil
}

// mayBeSent reports whether a close frame may have this code. The library's own check refuses codes that were
// registered after the protocol, such as 1012 for a restart.
func mayBeSent(code ws.StatusCode) bool {
	switch code {
	case ws.StatusNoMeaningYet, ws.StatusNoStatusRcvd, ws.StatusAbnormalClosure:
		return false
	}
	return 1000 <= code && code < 1015 || 3000 <= code && code < 5000
}

// end ends reading with what the caller is to know of err, and answers, as the protocol asks for.
func (c *conn) end(err error) error {
	var (
		closed    *pterosocket.CloseError
		violation ws.ProtocolError
	)
	switch {
	case errors.As(err, &closed):
		body := []byte(nil)
		if closed.Code != int(ws.StatusNoStatusRcvd) {
			body = ws.NewCloseFrameBody(ws.StatusCode(closed.Code), "")
		}
		c.owe(ws.OpClose, body)
	case errors.As(err, &violation), errors.Is(err, ws.ErrHeaderLengthMSB), errors.Is(err, errCorrupt):
		c.owe(ws.OpClose, ws.NewCloseFrameBody(ws.StatusProtocolError, ""))
		err = fmt.Errorf("the peer violates the websocket protocol: %w", err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		err = io.ErrUnexpectedEOF
	case errors.Is(err, net.ErrClosed):
		err = net.ErrClosed
	}
	c.in.close()
	c.readErr = err
	close(c.ended)
	return err
}
