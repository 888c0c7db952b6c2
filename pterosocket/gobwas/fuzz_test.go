package gobwas

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/pterosocket/pterosocket-go/pterosocket"
)

// byteWise gives as many bytes a Read as step says.
type byteWise struct {
	rest []byte
	step int
}

func (b *byteWise) Read(p []byte) (int, error) {
	if len(b.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), b.step)], b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

// messages reads what the library's own reader makes of a stream: its messages, and whether a close frame ended it.
func messages(stream []byte) (all [][]byte, closed bool) {
	control := func(h ws.Header, r io.Reader) error {
		n, err := io.Copy(io.Discard, r)
		if h.OpCode == ws.OpClose && n == h.Length {
			closed = n != 1
			return errors.New("closed")
		}
		return err
	}
	reader := wsutil.Reader{Source: bytes.NewReader(stream), State: ws.StateClientSide, OnIntermediate: control}
	for {
		h, err := reader.NextFrame()
		if err != nil {
			return all, closed
		}
		if h.OpCode.IsControl() {
			if control(h, &reader) != nil {
				return all, closed
			}
			continue
		}
		data, err := io.ReadAll(&reader)
		if err != nil {
			return all, closed
		}
		all = append(all, data)
	}
}

// FuzzRead compares Read with the library's own reader, which works frame by frame and copies, on any stream of bytes in pieces of any
// size.
func FuzzRead(f *testing.F) {
	long := append([]byte("\x01\x7e\x02\x58"), bytes.Repeat([]byte("x"), 600)...)
	for _, stream := range []string{
		"\x81\x05hello\x89\x01p\x82\x00\x88\x02\x03\xe8",
		"\x01\x01a\x89\x00\x00\x01b\x80\x01c\x81\x01d",
		string(long) + "\x8a\x01x\x80\x03end\x81\x02ok",
		"\x81\x7f\x00\x00\x00\x00\x00\x00\x00\x03abc\x88\x01x",
		"\x01\x00\x80\x00\x81\x81aaaab",
	} {
		f.Add([]byte(stream), byte(1))
		f.Add([]byte(stream), byte(0))
	}
	f.Fuzz(func(t *testing.T, stream []byte, step byte) {
		want, wantClosed := messages(stream)
		p := &peer{Reader: &byteWise{stream, 1 + int(step)*7}}
		c := newConn(p, false)
		for i := 0; ; i++ {
			data, err := c.Read(1 << 30)
			if err != nil {
				var closed *pterosocket.CloseError
				if i != len(want) || errors.As(err, &closed) != wantClosed {
					t.Fatalf("%d messages, then %v; the library reads %d, closed %v", i, err, len(want), wantClosed)
				}
				return
			}
			if i >= len(want) || !bytes.Equal(data, want[i]) {
				t.Fatalf("message %d is %q; the library reads %q", i, data, want)
			}
		}
	})
}
