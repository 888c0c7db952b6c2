package gobwas

import (
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"testing"
	"unicode/utf8"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsflate"
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

// fuzzLimit is the limit of a message.
const fuzzLimit = 1 << 16

// messages reads what the library's own reader makes of a stream: its messages, nil for those over the limit, and
// whether a close frame ended it.
func messages(stream []byte, deflate bool) (all [][]byte, closed bool) {
	control := func(h ws.Header, r io.Reader) error {
		payload, err := io.ReadAll(r)
		if h.OpCode == ws.OpClose && len(payload) == int(h.Length) {
			code, reason := ws.ParseCloseFrameData(payload)
			closed = len(payload) == 0 || mayBeSent(code) && utf8.ValidString(reason)
			return errors.New("closed")
		}
		return err
	}
	var compressed wsflate.MessageState
	reader := wsutil.Reader{Source: bytes.NewReader(stream), State: ws.StateClientSide, OnIntermediate: control}
	if deflate {
		reader.State = reader.State.Set(ws.StateExtended)
		reader.Extensions = []wsutil.RecvExtension{&compressed, wsutil.RecvExtensionFunc(func(h ws.Header) (ws.Header, error) {
			if h.Rsv != 0 {
				return h, errors.New("reserved")
			}
			return h, nil
		})}
	}
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
		isCompressed := compressed.IsCompressed()
		data, err := io.ReadAll(&reader)
		if err == nil && isCompressed {
			data, err = inflated(data)
		}
		if err != nil {
			return all, closed
		}
		if len(data) > fuzzLimit {
			data = nil
		}
		all = append(all, data)
	}
}

// inflated decompresses a whole message.
func inflated(data []byte) ([]byte, error) {
	source := bytes.NewReader(append(data, tail...))
	text, err := io.ReadAll(flate.NewReader(source))
	if err == nil && source.Len() > len(tail)+1 {
		err = errors.New("more behind the end")
	}
	return text, err
}

// FuzzRead compares Read with the library's own reader, which works frame by frame and copies, on any stream of bytes
// in pieces of any size.
func FuzzRead(f *testing.F) {
	long := append([]byte("\x01\x7e\x02\x58"), bytes.Repeat([]byte("x"), 600)...)
	for _, stream := range []string{
		"\x81\x05hello\x89\x01p\x82\x00\x88\x02\x03\xe8",
		"\x01\x01a\x89\x00\x00\x01b\x80\x01c\x81\x01d",
		string(long) + "\x8a\x01x\x80\x03end\x81\x02ok",
		"\x81\x7f\x00\x00\x00\x00\x00\x00\x00\x03abc\x88\x01x",
		"\x01\x00\x80\x00\x81\x81aaaab",
		"\xc1\x08" + finalHello + "\x41\x03" + finalHello[:3] + "\x80\x04" + finalHello[3:7] + "\x81\x02ok\xc1\x05\x00\xff\x00\x00\xff",
	} {
		f.Add([]byte(stream), byte(1), true)
		f.Add([]byte(stream), byte(0), false)
	}
	f.Fuzz(func(t *testing.T, stream []byte, step byte, deflate bool) {
		want, wantClosed := messages(stream, deflate)
		p := &peer{Reader: &byteWise{stream, 1 + int(step)*7}}
		c := newConn(p, deflate)
		for i := 0; ; i++ {
			data, err := c.Read(fuzzLimit)
			if err != nil && !errors.Is(err, pterosocket.ErrFrameTooLong) {
				var closed *pterosocket.CloseError
				if i != len(want) || errors.As(err, &closed) != wantClosed {
					t.Fatalf("%d messages, then %v; the library reads %d, closed %v", i, err, len(want), wantClosed)
				}
				return
			}
			if i >= len(want) || !bytes.Equal(data, want[i]) || (err != nil) != (want[i] == nil) {
				t.Fatalf("message %d is %q, %v; the library reads %q", i, data, err, want)
			}
		}
	})
}
