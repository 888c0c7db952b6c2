package pterosocket

import (
	"testing"

	"github.com/pterosocket/pterosocket-go/internal/wire"
)

// A console line costs its text and what boxes it as an Event, on its whole way from the frame to the channel.
func TestConsoleLineAllocations(t *testing.T) {
	frame := []byte(`{"event":"console output","args":["[12:34:56] [Server thread/INFO]: Steve joined the game, welcome back"]}` + "\n")
	c := &client{out: newOutbox(8192), changed: make(chan struct{})}
	c.lines = newRecovery(c, &c.count)
	s := &session{sessionConfig: sessionConfig{owner: c, recovery: c.lines, count: &c.count}}
	var d wire.Decoder
	handle := func() {
		line, ok := d.Line(frame)
		if !ok {
			t.Fatal("not a line")
		}
		s.burst.add(line)
		s.burst.frames++
		s.flush()
		<-c.out.events
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
	c := &client{out: newOutbox(8192), changed: make(chan struct{})}
	c.lines = newRecovery(c, &c.count)
	s := &session{sessionConfig: sessionConfig{owner: c, recovery: c.lines, count: &c.count}}
	var d wire.Decoder
	b.ReportAllocs()
	for b.Loop() {
		line, _ := d.Line(frame)
		s.burst.add(line)
		s.burst.frames++
		s.flush()
		<-c.out.events
	}
}
