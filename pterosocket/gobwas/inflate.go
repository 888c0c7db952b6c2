package gobwas

import (
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/gobwas/ws/wsflate"

	"github.com/pterosocket/pterosocket-go/internal/message"
)

// errCorrupt says that a compressed message cannot be decompressed.
var errCorrupt = errors.New("a compressed message is corrupt")

// inflaters are *wsflate.Reader, each with a window of 32 KiB and more.
var inflaters = sync.Pool{New: func() any {
	return wsflate.NewReader(nil, func(r io.Reader) wsflate.Decompressor { return inflater{flate.NewReader(r)} })
}}

// inflater lets the library use a decompressor again.
type inflater struct{ io.ReadCloser }

func (i inflater) Reset(r io.Reader) { _ = i.ReadCloser.(flate.Resetter).Reset(r, nil) } // never fails

// inflate is message.Read of a compressed message; limit is of what comes out.
func inflate(r io.Reader, buf []byte, limit int64) ([]byte, error) {
	reader := inflaters.Get().(*wsflate.Reader)
	defer inflaters.Put(reader)
	reader.Reset(r)
	data, err := message.Read(reader, buf, limit)
	var corrupt flate.CorruptInputError
	if errors.As(err, &corrupt) {
		return nil, fmt.Errorf("%w: %w", errCorrupt, err)
	}
	if err != nil && err != message.ErrTooLong {
		return nil, err
	}
	// The compressed data may end before the message does.
	if _, err := io.Copy(io.Discard, r); err != nil {
		return nil, err
	}
	return data, err
}
