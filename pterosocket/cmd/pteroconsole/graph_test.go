package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/pterosocket/pterosocket-go/pterosocket"
)

func TestSparkline(t *testing.T) {
	for _, test := range []struct {
		values        []float64
		columns, each int
		top           float64
		want          string
	}{
		{nil, 4, 1, 0, "    "},
		{[]float64{0, 0}, 2, 1, 0, "▁▁"},
		{[]float64{1, 2, 3, 4, 5, 6, 7, 8}, 8, 1, 8, "▂▃▄▅▆▇██"},
		{[]float64{0, 8}, 4, 1, 0, "  ▁█"},
		{[]float64{1, 8, 1, 1}, 2, 2, 8, "█▂"},    // the most of each part
		{[]float64{8, 0, 0}, 2, 2, 8, "█▁"},       // the first part is not full
		{[]float64{9, 9, 9, 1, 1}, 2, 1, 9, "▁▁"}, // older ones are left out
		{[]float64{-5, 1e300}, 2, 1, 100, "▁█"},   // out of bounds
		{[]float64{1, 2, 3}, 0, 1, 0, ""},
	} {
		if got := sparkline(blocks, test.values, test.columns, test.each, test.top); got != test.want {
			t.Errorf("%v in %d columns of %d: %q, not %q", test.values, test.columns, test.each, got, test.want)
		}
	}
	if got := sparkline(plain, []float64{0, 1}, 2, 1, 1); got != "_#" {
		t.Errorf("%q", got)
	}
}

func TestHistoryKeepsTenMinutes(t *testing.T) {
	var h history
	for i := range 1234 {
		h.add(float64(i))
	}
	got := h.last(1e6)
	if len(got) != 600 || got[0] != 634 || got[599] != 1233 || !slices.IsSorted(got) {
		t.Errorf("%d values from %v to %v", len(got), got[0], got[len(got)-1])
	}
	if got := h.last(2); !slices.Equal(got, []float64{1232, 1233}) {
		t.Errorf("the last two: %v", got)
	}
}

// A restart of the server does not show as traffic, and the line fits into 80 columns.
func TestGraph(t *testing.T) {
	var u resources
	if u.graph(blocks) != "" {
		t.Error("a graph of nothing")
	}
	now := time.Now()
	for i := range 700 {
		s := pterosocket.Stats{MemoryBytes: 512 << 20, MemoryLimitBytes: 1 << 30, CPUAbsolute: float64(i)}
		s.Network.RxBytes = uint64(i%300) * 1000
		u.add(now.Add(time.Duration(i)*time.Second), s)
	}
	line := u.graph(blocks)
	if !strings.Contains(line, "cpu ▂▃▃▄▄▅▆▆▇▇██ 699.0%") || !strings.Contains(line, "▅▅▅▅▅▅▅▅▅▅▅▅ 512M") || !strings.Contains(line, "1.0K/s") {
		t.Errorf("%s", line)
	}
	if n := utf8.RuneCountInString("* " + line); n > 80 {
		t.Errorf("%d columns: %s", n, line)
	}
}

func TestSizes(t *testing.T) {
	for n, want := range map[float64]string{
		0: "0", 999: "999", 1000: "1.0K", 1536: "1.5K", 10239: "10K", 999 * 1024: "999K", 1023 * 1024: "1.0M", 5 << 30: "5.0G", 1e30: "8e", 123 << 40: "123T",
	} {
		if got := bytesText(n); got != want && n < 1e30 || len(got) > 5 && n < 1e18 {
			t.Errorf("%v: %s, not %s", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{
		0: "0s", 59 * time.Second: "59s", 90 * time.Minute: "1h", 47 * time.Hour: "47h", 48 * time.Hour: "2d", 1e9 * time.Second: "999d",
	} {
		if got := durationText(d); got != want {
			t.Errorf("%v: %s, not %s", d, got, want)
		}
	}
}

func TestLocales(t *testing.T) {
	for env, want := range map[string]string{"LANG=en_US.UTF-8": "█", "LANG=C": "#", "LC_ALL=C LANG=en_US.UTF-8": "#", "LC_CTYPE=de_DE.utf8": "█", "": "#"} {
		glyphs := drawWith(func(name string) string {
			for v := range strings.SplitSeq(env, " ") {
				if value, ok := strings.CutPrefix(v, name+"="); ok {
					return value
				}
			}
			return ""
		})
		if got := string(glyphs[len(glyphs)-1]); got != want {
			t.Errorf("%q: %s", env, got)
		}
	}
}

// Tab completes colon commands, and the names that a game has printed.
func TestCompletion(t *testing.T) {
	var p players
	for _, line := range []string{
		"[12:25:45] Alex joined the game",
		"[12:25:45 INFO]: Alexandra left the game",
		"[12:26:00] [Server thread/INFO]: <Steve_2> hi <Nobody> there",
		"[12:26:05] There are 3 of a max of 8 players online: Nadia, Tomás,Steve",
		"There are 0 of a max of 8 players online: ",
		"Anna bell joined the game", // no name of ours begins a line so: only the last word may be one
		strings.Repeat("x", 100) + " joined the game",
	} {
		p.observe(line)
	}
	for _, test := range []struct {
		line, want string
		ways       int
	}{
		{":re", ":restart", 0},
		{":st", ":st", 3},
		{":sta", ":sta", 2}, // start, stats
		{"kick nad", "kick Nadia ", 0},
		{"kick alex", "kick alex", 2},
		{"kick Alexan", "kick Alexandra ", 0},
		{"tell tom", "tell Tomás ", 0},
		{"kick Nobody", "kick Nobody", 0},
		{"kick ", "kick ", 0},
		{"na", "na", 0}, // the first word is a command of the game
		{"", "", 0},
		{"say Steve", "say Steve", 2},
	} {
		got, ways := p.complete(test.line)
		if got != test.want || len(ways) != test.ways {
			t.Errorf("%q: %q and %q", test.line, got, ways)
		}
	}
	for i := range 10_000 {
		p.observe(fmt.Sprintf("Bot%d joined the game", i))
	}
	if len(p.names) != maxPlayers || p.names[maxPlayers-1] != "Bot9999" {
		t.Errorf("%d names", len(p.names))
	}
}

// Where nothing remembers stats, :graph does not promise that they come.
func TestGraphWithoutAGrapher(t *testing.T) {
	err := execute(t.Context(), nil, ":graph", nil, &jsonView{})
	if err == nil || !strings.Contains(err.Error(), "several servers") {
		t.Error(err)
	}
}
