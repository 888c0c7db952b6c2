package pterosocket

import (
	"testing"

	"github.com/pterosocket/pterosocket-go/internal/delivery"
	"github.com/pterosocket/pterosocket-go/internal/wire"
)

// newQuietSession returns a session that reads nothing by itself, and its client.
func newQuietSession() (*delivery.Outlet[Event], *session) {
	out := newOutlet(8192)
	c := &client{out: out, changed: make(chan struct{})}
	c.console = newConsole(c, &c.count, 8192, nil)
	return out, &session{sessionConfig: sessionConfig{owner: c, console: c.console, count: &c.count}}
}

// A console line costs its text and what boxes it as an Event, on its whole way from the frame to the channel.
func TestConsoleLineAllocations(t *testing.T) {
	frame := []byte(`{"event":"console output","args":["[12:34:56] [Server thread/INFO]: Steve joined the game, welcome back"]}` + "\n")
	out, s := newQuietSession()
	var d wire.Decoder
	handle := func() {
		line, ok := d.Line(frame)
		if !ok {
			t.Fatal("not a line")
		}
		s.reader.burst.add(line)
		s.reader.burst.frames++
		s.flush()
		<-out.C()
	}
	for range 1000 { // until the ring of seen lines has grown
		handle()
	}
	if n := testing.AllocsPerRun(1000, handle); n > 2 {
		t.Errorf("%v allocations a line, want 2", n)
	}
}

func BenchmarkConsoleLine(b *testing.B) {
	frame := []byte(`{"event":"console output","args":["[12:34:56] [Server thread/INFO]: Steve joined the game, welcome back"]}` + "\n")
	out, s := newQuietSession()
	var d wire.Decoder
	b.ReportAllocs()
	for b.Loop() {
		line, _ := d.Line(frame)
		s.reader.burst.add(line)
		s.reader.burst.frames++
		s.flush()
		<-out.C()
	}
}
