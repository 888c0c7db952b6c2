// Package recorded reads the frames of real daemons in testdata, for tests.
package recorded

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// Frames returns the frames that daemons sent, by the recording's name such as "ptero/03-power.jsonl", for those whose
// name fits the pattern. Very long frames were left out of the recordings.
func Frames(tb testing.TB, pattern string) map[string][]string {
	tb.Helper()
	root := root()
	files, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(pattern)))
	if err != nil || len(files) == 0 {
		tb.Fatalf("no recording fits %q: %v", pattern, err)
	}
	frames := make(map[string][]string, len(files))
	for _, path := range files {
		name, err := filepath.Rel(root, path)
		if err != nil {
			tb.Fatal(err)
		}
		frames[filepath.ToSlash(name)] = read(tb, path)
	}
	return frames
}

// root is where the recordings are.
func root() string {
	_, here, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(here), "..", "..", "testdata")
}

func read(tb testing.TB, path string) (frames []string) {
	tb.Helper()
	file, err := os.Open(path)
	if err != nil {
		tb.Fatal(err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var entry struct{ Dir, Frame string }
		if err := json.Unmarshal(lines.Bytes(), &entry); err != nil {
			tb.Fatalf("%s: %v", path, err)
		}
		if entry.Dir == "in" && entry.Frame != "" {
			frames = append(frames, entry.Frame)
		}
	}
	if err := lines.Err(); err != nil {
		tb.Fatalf("%s: %v", path, err)
	}
	return frames
}
