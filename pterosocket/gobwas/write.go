package gobwas

import (
	"bytes"
	"context"
	"crypto/rand"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/gobwas/ws"
)

// answerFor is how long the answer to a ping or a close frame may take to be written. A peer that takes no more for so
// long is gone.
const answerFor = 5 * time.Second

// frames are *bytes.Buffer, for what is being written.
var frames = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// keepFrame bounds what is put back there.
const keepFrame = 64 << 10

// writeFrame writes a frame, unless a close frame has been written. It is called by whose turn it is.
func (c *conn) writeFrame(op ws.OpCode, payload []byte) error {
	if c.said {
		return net.ErrClosed
	}
	c.said = op == ws.OpClose
	frame := frames.Get().(*bytes.Buffer)
	frame.Reset()
	h := ws.Header{Fin: true, OpCode: op, Masked: true, Length: int64(len(payload))}
	_, _ = rand.Read(h.Mask[:])  // never fails
	_ = ws.WriteHeader(frame, h) // nor does this: it is well-formed, and in memory
	head := frame.Len()
	frame.Write(payload)
	ws.Cipher(frame.Bytes()[head:], h.Mask, 0)
	_, err := c.stream.Write(frame.Bytes())
	if frame.Cap() <= keepFrame {
		frames.Put(frame)
	}
	return err
}

// send writes a frame when its turn comes. When ctx ends before that, nothing has happened; when it ends in the middle
// of the frame, the connection is lost.
func (c *conn) send(ctx context.Context, op ws.OpCode, payload []byte) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	select {
	case c.turn <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	stop := context.AfterFunc(ctx, func() { _ = c.tearDown() })
	err := c.writeFrame(op, payload)
	intact := stop()
	<-c.turn
	c.pay()
	if err != nil && !intact {
		return context.Cause(ctx)
	}
	return err
}

// Write writes a text message, uncompressed: commands are too short to gain by it.
func (c *conn) Write(ctx context.Context, message []byte) error {
	return c.send(ctx, ws.OpText, message)
}

// Ping sends a ping and waits for its pong.
func (c *conn) Ping(ctx context.Context) error {
	pong := make(chan struct{})
	c.mu.Lock()
	c.pings++
	text := strconv.FormatUint(c.pings, 10)
	if c.pongs == nil {
		c.pongs = make(map[string]chan struct{})
	}
	c.pongs[text] = pong
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if delete(c.pongs, text); len(c.pongs) == 0 {
			c.pongs = nil
		}
	}()
	if err := c.send(ctx, ws.OpPing, []byte(text)); err != nil {
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

func (c *conn) ponged(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if pong := c.pongs[text]; pong != nil {
		close(pong)
		delete(c.pongs, text)
	}
}

// An answer is a frame that Read owes the peer. Its zero value is none.
type answer struct {
	op      ws.OpCode
	payload []byte
}

// owe answers the peer, at once or, since Read must not wait for a Write, as soon as what is being written is. Of
// several pings the last is answered (RFC 6455, section 5.5.3), and nothing behind a close frame. With a peer that
// takes nothing any more Read does wait, for answerFor: there is nothing else to be lost.
func (c *conn) owe(op ws.OpCode, payload []byte) {
	owed := answer{op, bytes.Clone(payload)}
	c.mu.Lock()
	c.owed = owed
	c.mu.Unlock()
	c.pay()
}

// pay writes what is owed if nobody is writing. Whoever is calls it afterwards.
func (c *conn) pay() {
	for {
		c.mu.Lock()
		owes := c.owed.op != 0
		c.mu.Unlock()
		if !owes {
			return
		}
		select {
		case c.turn <- struct{}{}:
		default:
			return
		}
		c.mu.Lock()
		owed := c.owed
		c.owed = answer{}
		c.mu.Unlock()
		if owed.op != 0 {
			late := time.AfterFunc(answerFor, func() { _ = c.tearDown() })
			_ = c.writeFrame(owed.op, owed.payload) // when it fails, so does reading
			late.Stop()
		}
		<-c.turn
	}
}

// Close says goodbye and waits, until ctx ends, for the Read that is running to get the peer's.
func (c *conn) Close(ctx context.Context, code int, reason string) error {
	if ctx.Err() != nil {
		_ = c.tearDown() // whoever is saying goodbye
	}
	err := net.ErrClosed
	c.closing.Do(func() {
		if c.send(ctx, ws.OpClose, ws.NewCloseFrameBody(ws.StatusCode(code), reason)) == nil {
			select {
			case <-c.ended: // with the peer's close frame, or without
			case <-ctx.Done():
			}
		}
		err = c.tearDown()
	})
	return err
}
