// Package message reads websocket messages into a buffer that is used again, for the transports.
package message

import (
	"errors"
	"io"
	"math"
)

// ErrTooLong is what Read returns for a message over its limit. It has been read to its end.
var ErrTooLong = errors.New("the frame is too long")

// firstBuffer is how large a buffer is that Read makes.
const firstBuffer = 128

// Read reads r to its end into buf, which it grows as needed, and returns it. It skips what is longer than limit bytes
// and returns ErrTooLong. It never holds more than limit+1 bytes, but for a larger buf.
func Read(r io.Reader, buf []byte, limit int64) ([]byte, error) {
	buf = buf[:0]
	for int64(len(buf)) <= limit {
		if len(buf) == cap(buf) {
			size := max(firstBuffer, min(2*cap(buf), int(min(limit, math.MaxInt-1))+1))
			buf = append(make([]byte, 0, size), buf...)
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case err == nil, int64(len(buf)) > limit:
		case err == io.EOF:
			return buf, nil
		default:
			return nil, err
		}
	}
	if _, err := io.Copy(io.Discard, r); err != nil {
		return nil, err
	}
	return nil, ErrTooLong
}
