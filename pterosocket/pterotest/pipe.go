package pterotest

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// pipeBuffer is how much a pipe holds in each direction. net.Pipe holds nothing, so that two peers who write at the
// same time, both answering a ping for example, would wait for each other for ever, which no real network does to them.
const pipeBuffer = 64 << 10

// newPipe returns the two ends of a connection in memory. Waiting for it is something that testing/synctest lets time
// pass for.
func newPipe() (client, server net.Conn) {
	a, b := newHalf(), newHalf()
	return &pipeEnd{in: a, out: b}, &pipeEnd{in: b, out: a}
}

// half is one direction.
type half struct {
	mu            sync.Mutex
	changed       sync.Cond
	buf           []byte
	writerClosed  bool
	readerClosed  bool
	readDeadline  deadline
	writeDeadline deadline
}

// deadline wakes whoever waits when it has come.
type deadline struct {
	at    time.Time
	timer *time.Timer
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

func newHalf() *half {
	h := new(half)
	h.changed.L = &h.mu
	return h
}

func (h *half) read(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(h.buf) == 0 || h.readerClosed {
		switch {
		case h.readerClosed:
			return 0, net.ErrClosed
		case h.readDeadline.passed():
			return 0, os.ErrDeadlineExceeded
		case h.writerClosed:
			return 0, io.EOF
		}
		h.changed.Wait()
	}
	if h.readDeadline.passed() {
		return 0, os.ErrDeadlineExceeded
	}
	n := copy(p, h.buf)
	if h.buf = h.buf[n:]; len(h.buf) == 0 {
		h.buf = nil
	}
	h.changed.Broadcast()
	return n, nil
}

func (h *half) write(p []byte) (n int, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(p) > 0 {
		switch room := pipeBuffer - len(h.buf); {
		case h.writerClosed:
			return n, net.ErrClosed
		case h.readerClosed:
			return n, io.ErrClosedPipe
		case h.writeDeadline.passed():
			return n, os.ErrDeadlineExceeded
		case room <= 0:
			h.changed.Wait()
		default:
			m := min(room, len(p))
			h.buf = append(h.buf, p[:m]...)
			p, n = p[m:], n+m
			h.changed.Broadcast()
		}
	}
	return n, nil
}

// change changes something with the lock held, and wakes whoever waits.
func (h *half) change(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
	h.changed.Broadcast()
}

func (h *half) setDeadline(d *deadline, t time.Time) {
	h.change(func() {
		if d.timer != nil {
			d.timer.Stop()
			d.timer = nil
		}
		if d.at = t; time.Until(t) > 0 { // one in the past, with which a pending read is aborted, has come already
			d.timer = time.AfterFunc(time.Until(t), func() { h.change(func() {}) })
		}
	})
}

// stop stops the timers.
func (h *half) stop() {
	h.setDeadline(&h.readDeadline, time.Time{})
	h.setDeadline(&h.writeDeadline, time.Time{})
}

type pipeEnd struct{ in, out *half }

func (e *pipeEnd) Read(p []byte) (int, error)  { return e.in.read(p) }
func (e *pipeEnd) Write(p []byte) (int, error) { return e.out.write(p) }

func (e *pipeEnd) Close() error {
	e.in.change(func() { e.in.readerClosed = true })
	e.out.change(func() { e.out.writerClosed = true })
	e.in.stop()
	e.out.stop()
	return nil
}

func (e *pipeEnd) LocalAddr() net.Addr  { return memoryAddr{} }
func (e *pipeEnd) RemoteAddr() net.Addr { return memoryAddr{} }

func (e *pipeEnd) SetDeadline(t time.Time) error {
	_ = e.SetReadDeadline(t)
	return e.SetWriteDeadline(t)
}

func (e *pipeEnd) SetReadDeadline(t time.Time) error {
	e.in.setDeadline(&e.in.readDeadline, t)
	return nil
}

func (e *pipeEnd) SetWriteDeadline(t time.Time) error {
	e.out.setDeadline(&e.out.writeDeadline, t)
	return nil
}
