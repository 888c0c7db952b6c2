// Package replay finds out what was missed. A daemon replays its recent lines on request, as ordinary lines with no
// mark and no end, among live ones. So they are asked for on a second connection, and Lay lays three pieces of the log
// over each other: the lines that were seen before a loss, the replay, and the live output of the first connection.
//
// The package is pure: no I/O, no clock, no goroutines.
package replay

import (
	"hash/maphash"
	"strings"
)

var seed = maphash.MakeSeed()

// Key identifies a line's text, the same whether it came live or in a replay: a daemon turns " \r" into "\r\n" in live
// lines only.
func Key(text string) uint64 {
	return maphash.String(seed, restored(text))
}

// restored returns a live line's text as it is in the log.
func restored(text string) string {
	if strings.IndexByte(text, '\r') >= 0 {
		text = strings.ReplaceAll(text, "\r\n", " \r")
	}
	return text
}

// OfDaemon reports whether a line is the daemon's own. Such lines are never in a replay.
func OfDaemon(text string) bool {
	const prefix = "\x1b[33m\x1b[1m["
	return strings.HasPrefix(text, prefix) && strings.Contains(text[:min(len(text), 80)], " Daemon]:\x1b[39m ")
}

// Remember is how many lines Seen keeps. A replay has 150 by default.
const Remember = 512

// Seen remembers the last lines of a game's log that were handed on. The zero value is ready.
type Seen struct {
	keys  []uint64 // a ring once it has grown to Remember
	start int
}

// Add notes that a line was handed on. Lines that are not in a game's log, or not in live output, do not count.
func (s *Seen) Add(text string) {
	if text == "" || OfDaemon(text) {
		return
	}
	if len(s.keys) < Remember {
		s.keys = append(s.keys, Key(text))
		return
	}
	s.keys[s.start] = Key(text)
	s.start = (s.start + 1) % Remember
}

// Keys returns the keys of the remembered lines, the oldest first.
func (s *Seen) Keys() []uint64 {
	return append(append(make([]uint64, 0, len(s.keys)), s.keys[s.start:]...), s.keys[:s.start]...)
}

// Forget forgets all lines.
func (s *Seen) Forget() { s.keys, s.start = nil, 0 }
