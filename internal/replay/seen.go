// Package replay finds out what was missed. After a reconnect a daemon replays its recent lines on request, as ordinary lines with no
// mark and no end, among live ones that may come before, inside or behind the replay. Merge compares them with the lines seen
// before the connection was lost, and puts what is new into the log's order.
//
// The package is pure: no I/O, no clock, no goroutines.
package replay

import (
	"hash/maphash"
	"strings"
)

var seed = maphash.MakeSeed()

// Key identifies a line's text, the same whether it came live or in a replay: a daemon turns " \r" into "\r\n" in live lines only.
func Key(text string) uint64 {
	if strings.IndexByte(text, '\r') >= 0 {
		text = strings.ReplaceAll(text, "\r\n", " \r")
	}
	return maphash.String(seed, text)
}

// OfDaemon reports whether a line is the daemon's own. Such lines are never in a replay.
func OfDaemon(text string) bool {
	const prefix = "\x1b[33m\x1b[1m["
	return strings.HasPrefix(text, prefix) && strings.Contains(text[:min(len(text), 80)], " Daemon]:\x1b[39m ")
}

// remember is how many lines Seen keeps. A replay has 150 by default.
const remember = 512

// Seen remembers the last lines of a game's log that were handed on. The zero value is ready.
type Seen struct {
	keys  []uint64 // a ring once it has grown to remember
	start int
}

// Add notes that a line was handed on. Lines that are not in a game's log, or not in live output, do not count.
func (s *Seen) Add(text string) {
	if text != "" && !OfDaemon(text) {
		s.AddKey(Key(text))
	}
}

// AddKey is Add for the Key of a line of the game.
func (s *Seen) AddKey(key uint64) {
	if len(s.keys) < remember {
		s.keys = append(s.keys, key)
		return
	}
	s.keys[s.start] = key
	s.start = (s.start + 1) % remember
}

// Keys returns the keys of the remembered lines, the oldest first.
func (s *Seen) Keys() []uint64 {
	return append(append(make([]uint64, 0, len(s.keys)), s.keys[s.start:]...), s.keys[:s.start]...)
}

// Last returns the key of the last line; ok is false when there is none.
func (s *Seen) Last() (key uint64, ok bool) {
	if len(s.keys) == 0 {
		return 0, false
	}
	return s.keys[(s.start+len(s.keys)-1)%len(s.keys)], true
}

// Forget forgets all lines.
func (s *Seen) Forget() { s.keys, s.start = nil, 0 }
