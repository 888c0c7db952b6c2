package gobwas

import (
	"encoding/binary"
	"io"
	"sync"

	"github.com/gobwas/ws"
)

const (
	// ownSize is what every connection keeps for reading; a stats frame fits.
	ownSize = 464
	// burstSize is what one borrows while more comes than that. A message of one piece that fits is not copied.
	burstSize = 32 << 10
)

// bursts are *[burstSize]byte.
var bursts = sync.Pool{New: func() any { return new([burstSize]byte) }}

// A window is what has been read from the stream and not consumed yet. It tells when it is about to wait for the
// network, and reads much at once while much comes: an idle connection, of which a program may have thousands, should
// not keep the memory that a busy one needs.
type window struct {
	stream io.Reader
	onWait func()
	err    error // that came with what is unread

	buf        []byte // own or burst
	start, end int    // of what is unread
	full       bool   // the last Read of the stream was cut short by the buffer
	burst      *[burstSize]byte
	own        [ownSize]byte
}

// fill reads from the stream once, so that what is unread grows. There is to be room for want bytes in all, burstSize
// at most.
func (w *window) fill(want int) error {
	if w.err != nil {
		w.close()
		return w.err
	}
	unread := w.buf[w.start:w.end]
	switch large := w.full || want > ownSize; {
	case large && w.burst == nil:
		w.burst = bursts.Get().(*[burstSize]byte)
		w.buf = w.burst[:]
		copy(w.buf, unread)
	case !large && w.burst != nil: // what is unread is less than want
		w.buf = w.own[:]
		copy(w.buf, unread)
		w.release()
	default:
		if w.buf == nil {
			w.buf = w.own[:]
		}
		copy(w.buf, unread)
	}
	w.start, w.end = 0, len(unread)
	if w.onWait != nil {
		w.onWait()
	}
	n, err := w.stream.Read(w.buf[w.end:])
	w.end += n
	w.full = w.end == len(w.buf)
	if w.err = err; n > 0 {
		return nil
	}
	if err != nil {
		w.close()
	}
	return err
}

// finText is how a text message in one piece begins.
const finText = 0x80 | byte(ws.OpText)

// text consumes and returns the next message if it is a text in one frame that has arrived to its end, as nearly all
// are. Asking the library for the header of each costs a fifth of what reading it does.
func (w *window) text(limit int64) ([]byte, bool) {
	frame := w.buf[w.start:w.end]
	if len(frame) < 4 || frame[0] != finText {
		return nil, false
	}
	head, n := 2, int(frame[1]) // with the mask's bit, which is not to be set, it is over 127
	if n == 126 {
		head, n = 4, int(binary.BigEndian.Uint16(frame[2:]))
	} else if n > 126 {
		return nil, false
	}
	if len(frame) < head+n || int64(n) > limit {
		return nil, false
	}
	w.start += head + n
	return frame[head : head+n : head+n], true
}

// take returns the next n bytes, burstSize at most, which are valid until the next fill.
func (w *window) take(n int) ([]byte, error) {
	for w.end-w.start < n {
		if err := w.fill(n); err != nil {
			return nil, err
		}
	}
	start := w.start
	w.start += n
	return w.buf[start:w.start:w.start], nil
}

// Read is io.Reader's.
func (w *window) Read(p []byte) (int, error) {
	if w.start == w.end {
		if err := w.fill(1); err != nil {
			return 0, err
		}
	}
	n := copy(p, w.buf[w.start:w.end])
	w.start += n
	return n, nil
}

// close gives back what has been borrowed. Nothing can be read any more.
func (w *window) close() {
	w.buf, w.start, w.end = nil, 0, 0
	if w.burst != nil {
		w.release()
	}
}

func (w *window) release() {
	bursts.Put(w.burst)
	w.burst = nil
}
