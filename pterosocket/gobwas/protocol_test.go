package gobwas

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsflate"

	"github.com/pterosocket/pterosocket-go/pterosocket"
)

// peer is a stream of bytes from a daemon that is made up; it keeps what is written to it.
type peer struct {
	io.Reader
	written bytes.Buffer
}

func (p *peer) Write(b []byte) (int, error) { return p.written.Write(b) }
func (p *peer) Close() error                { return nil }

// frames returns what was written to the peer, unmasked.
func (p *peer) frames(t *testing.T) (all []ws.Frame) {
	t.Helper()
	for p.written.Len() > 0 {
		h, err := ws.ReadHeader(&p.written)
		if err != nil || !h.Masked {
			t.Fatalf("a frame was written with the header %+v, %v", h, err)
		}
		f := ws.Frame{Header: h, Payload: p.written.Next(int(h.Length))}
		all = append(all, ws.UnmaskFrameInPlace(f))
	}
	return all
}

// finalHello is "Hello" in a block that is marked as the last one (RFC 7692, section 7.2.3.4).
const finalHello = "\xf3\x48\xcd\xc9\xc9\x07\x00\x00"

func TestLastBlock(t *testing.T) {
	c := newConn(&peer{Reader: strings.NewReader("\xc1\x08" + finalHello)}, true)
	if data, err := c.Read(100); err != nil || string(data) != "Hello" {
		t.Errorf("%q, %v", data, err)
	}
}

// What the protocol forbids ends the connection with a close frame that says so.
func TestViolations(t *testing.T) {
	deflated, err := wsflate.CompressFrame(ws.NewTextFrame([]byte("hello")))
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		said    string
		deflate bool
	}{
		"masked":                       {said: "\x81\x81\x01\x02\x03\x04a"},
		"reserved bit":                 {said: "\xa1\x01a"},
		"compressed, not asked for":    {said: string(ws.MustCompileFrame(deflated))},
		"another reserved bit":         {said: "\xa1\x01a", deflate: true},
		"a compressed ping":            {said: "\xc9\x01a", deflate: true},
		"a compressed continuation":    {said: "\x01\x01a\xc0\x01b", deflate: true},
		"corrupt compression":          {said: "\xc1\x04\xff\xff\xff\xff", deflate: true},
		"reserved opcode":              {said: "\x83\x01a"},
		"reserved control opcode":      {said: "\x8b\x00"},
		"a ping in fragments":          {said: "\x09\x01a"},
		"a ping of 126 bytes":          {said: "\x89\x7e\x00\x7e" + strings.Repeat("x", 126)},
		"continuation of nothing":      {said: "\x80\x01a"},
		"a message within another":     {said: "\x01\x01a\x81\x01b"},
		"a length of 64 bits":          {said: "\x81\x7f\xff\xff\xff\xff\xff\xff\xff\xff"},
		"a close frame of one byte":    {said: "\x88\x01x"},
		"a close frame with 0":         {said: "\x88\x02\x00\x00"},
		"a close frame with 1005":      {said: "\x88\x02\x03\xed"},
		"a close frame with 1006":      {said: "\x88\x02\x03\xee"},
		"a close frame with 1015":      {said: "\x88\x02\x03\xf7"},
		"a close frame with 5000":      {said: "\x88\x02\x13\x88"},
		"a reason that is no UTF-8":    {said: "\x88\x03\x03\xe8\xff"},
		"compression without an end":   {said: "\xc1\x05\x00\xff\x00\x00\xff", deflate: true},
		"more behind the last block":   {said: "\xc1\x0f" + finalHello + finalHello[:7], deflate: true},
		"corrupt, in a large fragment": {said: "\x41\x7e\x80\x01" + strings.Repeat("\xff", 0x8001) + "\x80\x00", deflate: true},
	} {
		p := &peer{Reader: strings.NewReader(test.said)}
		c := newConn(p, test.deflate)
		_, err := c.Read(1 << 20)
		if err == nil || errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), "violates") {
			t.Errorf("%s: %v", name, err)
		}
		said := p.frames(t)
		if len(said) != 1 || said[0].Header.OpCode != ws.OpClose {
			t.Errorf("%s was answered with %v", name, said)
			continue
		}
		if code, _ := ws.ParseCloseFrameData(said[0].Payload); code != ws.StatusProtocolError {
			t.Errorf("%s was answered with code %d", name, code)
		}
	}
}

// A connection that ends in the middle of something ends with the same error everywhere.
func TestCutShort(t *testing.T) {
	whole := "\x89\x01p" + "\x01\x02ab" + "\x8a\x00" + "\x80\x7e\x00\x80" + strings.Repeat("c", 128)
	for n := range len(whole) {
		c := newConn(&peer{Reader: strings.NewReader(whole[:n])}, false)
		if data, err := c.Read(1 << 20); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d bytes: %q, %v", n, data, err)
		}
	}
	c := newConn(&peer{Reader: strings.NewReader(whole)}, false)
	if data, err := c.Read(1 << 20); err != nil || len(data) != 130 {
		t.Errorf("%q, %v", data, err)
	}
}

// A message costs memory for what has arrived of it, whatever its peer announces, and at most for its limit.
func TestAnnouncedLength(t *testing.T) {
	const limit = 1 << 20
	for arrived, most := range map[int]uint64{100: 1 << 16, 50 * limit: 4 * limit} {
		p := &peer{Reader: io.MultiReader(strings.NewReader("\x81\x7f\x7f\xff\xff\xff\xff\xff\xff\xff"), io.LimitReader(endless{}, int64(arrived)))}
		c := newConn(p, false)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := c.Read(limit)
		runtime.ReadMemStats(&after)
		if grown := after.TotalAlloc - before.TotalAlloc; !errors.Is(err, io.ErrUnexpectedEOF) || grown > most {
			t.Errorf("%d bytes that came cost %d: %v", arrived, grown, err)
		}
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// Read answers a ping while somebody else is stuck in writing: as soon as that is over, and only the last. It never
// waits for him.
func TestPingWhileWriting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		c := newConn(ours, false)
		written := make(chan error)
		go func() { written <- c.Write(t.Context(), []byte("a command")) }()
		synctest.Wait() // in the middle of it
		go func() { _, _ = theirs.Write([]byte("\x89\x01a\x89\x01b\x89\x01c\x81\x02ok")) }()
		if data, err := c.Read(100); err != nil || string(data) != "ok" {
			t.Fatalf("%q, %v", data, err)
		}
		var got []string
		go func() {
			got = append(got, readFrame(t, theirs), readFrame(t, theirs))
		}()
		if err := <-written; err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if !slices.Equal(got, []string{"a command", "c"}) {
			t.Errorf("the peer got %q", got)
		}
	})
}

// readFrame returns what a client's frame says.
func readFrame(t *testing.T, r io.Reader) string {
	h, err := ws.ReadHeader(r)
	payload := make([]byte, h.Length)
	if err == nil {
		_, err = io.ReadFull(r, payload)
	}
	if err != nil {
		t.Error(err)
	}
	ws.Cipher(payload, h.Mask, 0)
	return string(payload)
}

// Who waits for his turn to write, and gives up, leaves no trace; a message that has begun comes to its end.
func TestGivingUpBeforeWriting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		c := newConn(ours, false)
		written := make(chan error)
		go func() { written <- c.Write(t.Context(), []byte("a command")) }()
		synctest.Wait() // in the middle of it
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		for range 2 { // the second time it has ended before
			if err := c.Ping(short); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Ping: %v", err)
			}
			if err := c.Write(short, nil); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Write: %v", err)
			}
		}
		if got := readFrame(t, theirs); got != "a command" {
			t.Errorf("the peer got %q", got)
		}
		if err := <-written; err != nil {
			t.Error(err)
		}
		go func() { _, _ = theirs.Write([]byte("\x81\x02ok")) }()
		if data, err := c.Read(100); err != nil || string(data) != "ok" {
			t.Errorf("%q, %v", data, err)
		}
		_ = c.tearDown()
	})
}

// A message that was written was written, whatever becomes of the pong that had to wait for it.
func TestPongBehindAWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		c := newConn(ours, false)
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		written := make(chan error)
		go func() { written <- c.Write(short, []byte("a command")) }()
		synctest.Wait()
		go func() { _, _ = c.Read(100) }()
		_, _ = theirs.Write([]byte("\x89\x00"))
		synctest.Wait() // the pong is owed
		if got := readFrame(t, theirs); got != "a command" {
			t.Errorf("the peer got %q", got)
		}
		if err := <-written; err != nil { // 5 s later: the pong is not taken
			t.Errorf("Write: %v", err)
		}
	})
}

// A peer that answers no goodbye is left when ctx ends, or when somebody is in a hurry; who closed first gets no error.
func TestCloseInAHurry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, _ := net.Pipe() // nobody reads there
		c := newConn(ours, false)
		closed := make(chan error)
		go func() { closed <- c.Close(t.Context(), 1000, "") }()
		synctest.Wait()
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		_ = c.Close(ended, 1000, "")
		if err := <-closed; err != nil {
			t.Error(err)
		}
	})
}

// A peer that pings and takes no answers is given up, after a while.
func TestPingsOfADeafPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		c := newConn(ours, false)
		go func() { _, _ = theirs.Write([]byte("\x89\x00")) }()
		start := time.Now()
		_, err := c.Read(100)
		if took := time.Since(start); err == nil || took != answerFor {
			t.Errorf("Read ended after %v with %v", took, err)
		}
	})
}

// A close frame is answered with its code, once.
func TestCloseIsAnswered(t *testing.T) {
	for _, test := range []struct{ said, answer string }{
		{"\x88\x02\x11\x39", "\x11\x39"}, {"\x88\x02\x03\xf4", "\x03\xf4"}, {"\x88\x00", ""}, {"\x88\x06\x11\x39away", "\x11\x39"},
	} {
		p := &peer{Reader: strings.NewReader(test.said)}
		c := newConn(p, false)
		var closed *pterosocket.CloseError
		if _, err := c.Read(100); !errors.As(err, &closed) {
			t.Errorf("%q: %v", test.said, err)
		}
		_ = c.Close(t.Context(), 1000, "")
		if said := p.frames(t); len(said) != 1 || said[0].Header.OpCode != ws.OpClose || string(said[0].Payload) != test.answer {
			t.Errorf("%q was answered with %v", test.said, said)
		}
	}
}

// Messages that came in one piece are not copied and cost nothing.
func TestReadDoesNotAllocate(t *testing.T) {
	line := append([]byte("\x81\x64"), bytes.Repeat([]byte("x"), 100)...)
	c := newConn(&peer{Reader: bytes.NewReader(bytes.Repeat(line, 5000))}, false)
	read := func() {
		if data, err := c.Read(1000); err != nil || len(data) != 100 {
			t.Fatal(len(data), err)
		}
	}
	for range 1000 {
		read()
	}
	if n := testing.AllocsPerRun(3000, read); n != 0 {
		t.Errorf("%v allocations a message", n)
	}
}
