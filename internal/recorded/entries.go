package recorded

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
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

// Connections returns the recording of that name, such as "ptero/03-power.jsonl", cut at each handshake.
func Connections(tb testing.TB, name string) (connections [][]Entry) {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join(root(), filepath.FromSlash(name)))
	if err != nil {
		tb.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var e Entry
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			tb.Fatalf("%s: %v", name, err)
		}
		if e.Handshake != 0 || connections == nil {
			connections = append(connections, nil)
		}
		last := len(connections) - 1
		connections[last] = append(connections[last], e)
	}
	return connections
}
