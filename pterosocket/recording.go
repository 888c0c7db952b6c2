package pterosocket

import (
	"sync"
	"time"

	"github.com/pterosocket/pterosocket-go/internal/replay"
)

// maxRecorded limits the text of the live lines in a recording, in bytes. The second connection may have twice as much.
const maxRecorded = 8 << 20

// A recording holds what a log is read from: the live lines of the session's connection, and everything that comes on a
// second connection.
type recording struct {
	news  chan struct{} // says that something has come or changed; room for one
	limit int           // how many live lines make it overflow
	began time.Time     // when the daemon accepted the session's token; zero: the session is known to be subscribed

	mu        sync.Mutex
	live      []replay.Line
	liveBytes int
	bytes     int // the size of the text on the second connection
	collector replay.Collector
	conn      Conn  // the second connection, once it is authenticated
	err       error // why no more can be recorded
	offline   bool  // the second connection has said that the server is offline
}

func newRecording(limit int) *recording {
	return &recording{news: make(chan struct{}, 1), limit: limit}
}

// change changes something that the reader of the log looks at, and wakes the reader.
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

// lay matches what has been recorded so far with what was seen before.
func (r *recording) lay(seen []uint64) replay.Reading {
	r.mu.Lock()
	collector, live := r.collector, r.live
	r.mu.Unlock()
	return collector.Lay(seen, live)
}
