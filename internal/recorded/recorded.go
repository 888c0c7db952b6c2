// Package recorded reads the frames of real daemons in testdata, for tests.
package recorded

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// Entry is one line of a recording: a frame, a note on what was done, or an event of the connection.
type Entry struct {
	Dir       string  `json:"dir"` // "in" from the daemon, "out" to it
	Frame     string  `json:"frame"`
	Note      string  `json:"note"`
	Handshake int     `json:"handshake_status"`
	Close     int     `json:"close"` // the close code, 1006 for none
	Reason    string  `json:"reason"`
	ReadError string  `json:"read_error"`
	Millis    float64 `json:"ts_ms"`
}

// At is when it happened, since the recording's beginning.
func (e Entry) At() time.Duration { return time.Duration(e.Millis * float64(time.Millisecond)) }

var recordings = func() fs.FS {
	_, here, _, _ := runtime.Caller(0)
	return os.DirFS(filepath.Join(filepath.Dir(here), "..", "..", "testdata"))
}()

// Frames returns the frames that daemons sent, by the recording's name such as "ptero/03-power.jsonl", for those whose
// name fits the pattern. Very long frames were left out of the recordings.
func Frames(tb testing.TB, pattern string) map[string][]string {
	tb.Helper()
	names, err := fs.Glob(recordings, pattern)
	if err != nil || len(names) == 0 {
		tb.Fatalf("no recording fits %q: %v", pattern, err)
	}
	frames := make(map[string][]string, len(names))
	for _, name := range names {
		frames[name] = nil // also if there are none
		for _, e := range read(tb, name) {
			if e.Dir == "in" && e.Frame != "" {
				frames[name] = append(frames[name], e.Frame)
			}
		}
	}
	return frames
}

// Connections returns the recording of that name, such as "ptero/03-power.jsonl", cut at each handshake.
func Connections(tb testing.TB, name string) (connections [][]Entry) {
	tb.Helper()
	for _, e := range read(tb, name) {
		if e.Handshake != 0 || connections == nil {
			connections = append(connections, nil)
		}
		last := len(connections) - 1
		connections[last] = append(connections[last], e)
	}
	return connections
}

func read(tb testing.TB, name string) (entries []Entry) {
	tb.Helper()
	text, err := fs.ReadFile(recordings, name)
	if err != nil {
		tb.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		var e Entry
		if err := json.Unmarshal(line, &e); err != nil {
			tb.Fatalf("%s: %v", name, err)
		}
		entries = append(entries, e)
	}
	return entries
}
