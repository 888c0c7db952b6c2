package pterosocket

import (
	"sync"
	"time"

	"github.com/pterosocket/pterosocket-go/internal/replay"
)

// maxRecorded bounds the text of a recording, in bytes, for each of its two connections.
const maxRecorded = 8 << 20

// A recording is what a log is read from: the live lines of the session's connection, and everything that comes on a
// second one.
type recording struct {
	news  chan struct{} // something has come, or changed; room for one
	limit int           // how many live lines there may be
	began time.Time     // when the session was told that it is subscribed; zero: it is known to be

	mu        sync.Mutex
	live      []replay.Line
	liveBytes int
	bytes     int // of the second connection
	collector replay.Collector
	conn      Conn  // the second connection, once it is authenticated
	err       error // why no more can be recorded
	offline   bool  // the second connection has said that the server is
}

func newRecording(limit int) *recording {
	return &recording{news: make(chan struct{}, 1), limit: limit}
}

// change changes something that the reader of the log looks at.
func (r *recording) change(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
	signal(r.news)
}

// addLive adds lines of the session's connection.
func (r *recording) addLive(lines []Event, now time.Time) {
	r.change(func() {
		for _, ev := range lines {
			text := ev.(ConsoleOutput).Line
			r.live = append(r.live, replay.Line{Text: text, At: now})
			r.liveBytes += len(text)
		}
		r.collector.Live(len(lines), now)
		if len(r.live) >= r.limit || r.liveBytes >= maxRecorded {
			r.err = errOverflow
		}
	})
}

// addSecond adds a line of the second connection.
func (r *recording) addSecond(text string, now time.Time) {
	r.change(func() {
		if r.bytes += len(text); r.bytes >= 2*maxRecorded {
			r.err = errOverflow
			return
		}
		r.collector.Second(text, now)
	})
}

// isEmpty reports whether no live line has come.
func (r *recording) isEmpty() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.live) == 0
}

// lay reads what has been recorded so far.
func (r *recording) lay(seen []uint64) replay.Reading {
	r.mu.Lock()
	collector, live := r.collector, r.live
	r.mu.Unlock()
	return collector.Lay(seen, live)
}
