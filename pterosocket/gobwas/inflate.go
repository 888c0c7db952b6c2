package gobwas

import (
	"bufio"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/pterosocket/pterosocket-go/internal/message"
)

// errCorrupt says that a compressed message cannot be decompressed.
var errCorrupt = errors.New("a compressed message is corrupt")

// An inflater decompresses messages, each by itself. It has a window of 32 KiB, so it is borrowed. (The library's own
// puts a byte of 0 behind what ends too early, when it reads byte by byte.)
type inflater struct {
	source *bufio.Reader
	flate  io.ReadCloser
}

// inflaters are *inflater.
var inflaters = sync.Pool{New: func() any {
	source := bufio.NewReader(nil)
	return &inflater{source, flate.NewReader(source)}
}}

// tail is what a message ends with and is not sent (RFC 7692, section 7.2.2), and a last block behind it, for flate to
// know the end.
const tail = "\x00\x00\xff\xff" + "\x01\x00\x00\xff\xff"

// inflate is message.Read of a compressed message; limit is of what comes out.
func inflate(f *fragments, buf []byte, limit int64) ([]byte, error) {
	in := inflaters.Get().(*inflater)
	defer inflaters.Put(in)
	defer in.source.Reset(nil) // and so it keeps no connection
	in.source.Reset(io.MultiReader(f, strings.NewReader(tail)))
	_ = in.flate.(flate.Resetter).Reset(in.source, nil) // never fails
	data, err := message.Read(in.flate, buf, limit)
	var corrupt flate.CorruptInputError
	switch {
	case errors.As(err, &corrupt), errors.Is(err, io.ErrUnexpectedEOF) && f.ended():
		return nil, fmt.Errorf("%w: %v", errCorrupt, err) // not wrapped: to others it is the end of a stream
	case err != nil && err != message.ErrTooLong:
		return nil, err
	}
	// A compressor may mark a block as the last, behind which there is one byte more (section 7.2.3.4), and then what was
	// not needed.
	rest, restErr := io.Copy(io.Discard, in.source)
	switch {
	case restErr != nil:
		return nil, restErr
	case rest > int64(1+len(tail)):
		return nil, fmt.Errorf("%w: %d bytes behind its end", errCorrupt, rest)
	}
	return data, err
}
