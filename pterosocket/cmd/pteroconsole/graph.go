package main

import (
	"fmt"
	"math"
	"os"
	"strings"
	"time"

	"github.com/pterosocket/pterosocket-go/pterosocket"
)

// A history keeps a figure's last values, one a second. The zero value is empty.
type history struct {
	values []float64 // a ring once it is full
	next   int
}

// historyFor is how far back a history reaches.
const historyFor = 10 * time.Minute

func (h *history) add(v float64) {
	const most = int(historyFor / time.Second)
	if len(h.values) < most {
		h.values = append(h.values, v)
		return
	}
	h.values[h.next] = v
	h.next = (h.next + 1) % most
}

// last returns the last n values, the oldest first; fewer if there are no more.
func (h *history) last(n int) []float64 {
	all := append(append([]float64(nil), h.values[h.next:]...), h.values[:h.next]...)
	return all[max(0, len(all)-n):]
}

// latest returns the last value; 0 if there is none.
func (h *history) latest() float64 {
	if len(h.values) == 0 {
		return 0
	}
	return h.values[(h.next+len(h.values)-1)%len(h.values)]
}

// blocks are what a graph is drawn with, where the terminal can show them, and plain what it is drawn with elsewhere.
var (
	blocks = []rune("▁▂▃▄▅▆▇█")
	plain  = []rune("_.-=+*%#")
)

// drawWith returns the characters for a locale.
func drawWith(env func(string) string) []rune {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := env(name); v != "" {
			if strings.Contains(strings.ToUpper(strings.ReplaceAll(v, "-", "")), "UTF8") {
				return blocks
			}
			return plain
		}
	}
	if os.PathSeparator == '\\' { // Windows sets none of them, and its terminal shows blocks
		return blocks
	}
	return plain
}

// sparkline draws values into so many columns, each the most of its part, from 0 to top, or to the highest value if top
// is 0. Values come from the right, one after the other: columns for which there is none yet are empty.
func sparkline(glyphs []rune, values []float64, columns int, each int, top float64) string {
	if columns <= 0 {
		return ""
	}
	values = values[max(0, len(values)-columns*each):]
	if top <= 0 {
		for _, v := range values {
			top = max(top, v)
		}
	}
	line := make([]rune, columns)
	for i := range line {
		end := len(values) - (columns-1-i)*each
		part := values[max(0, min(end-each, len(values))):max(0, end)]
		if len(part) == 0 {
			line[i] = ' '
			continue
		}
		most := part[0]
		for _, v := range part {
			most = max(most, v)
		}
		level := 0
		if top > 0 && !math.IsNaN(most) {
			level = int(min(most/top, 1) * float64(len(glyphs)))
		}
		line[i] = glyphs[min(max(level, 0), len(glyphs)-1)]
	}
	return string(line)
}

// resources is the history of a server's resources. The zero value is empty.
type resources struct {
	cpu, memory, network history // percent of a core; bytes; bytes a second
	last                 pterosocket.Stats
	at                   time.Time // when last came
}

// add notes stats that came at a time. They come every second while the server runs.
func (u *resources) add(now time.Time, s pterosocket.Stats) {
	var rate float64
	if !u.at.IsZero() {
		rate = trafficRate(u.last, s, now.Sub(u.at))
	}
	u.cpu.add(s.CPUAbsolute)
	u.memory.add(float64(s.MemoryBytes))
	u.network.add(rate)
	u.last, u.at = s, now
}

// trafficRate returns how many bytes a second went over the network between two stats. A restart begins from zero.
func trafficRate(before, after pterosocket.Stats, passed time.Duration) float64 {
	sum := func(s pterosocket.Stats) uint64 { return s.Network.RxBytes + s.Network.TxBytes }
	if passed <= 0 || sum(after) < sum(before) {
		return 0
	}
	return float64(sum(after)-sum(before)) / max(passed.Seconds(), 0.5)
}

// graph draws the last ten minutes, or what there is of them, into a line of 80 columns.
func (u *resources) graph(glyphs []rune) string {
	if u.at.IsZero() {
		return ""
	}
	const columns = 12
	each := max(1, (len(u.cpu.values)+columns-1)/columns)
	draw := func(h history, top float64) string {
		return sparkline(glyphs, h.last(columns*each), columns, each, top)
	}
	return fmt.Sprintf("cpu %s %.1f%%  mem %s %s  net %s %s/s", draw(u.cpu, 0), u.last.CPUAbsolute,
		draw(u.memory, float64(u.last.MemoryLimitBytes)), bytesText(float64(u.last.MemoryBytes)),
		draw(u.network, 0), bytesText(u.network.latest()))
}

// bytesText writes a size in at most five columns: 512, 1.5K, 12M, 999G.
func bytesText(n float64) string {
	units := " KMGTPE"
	i := 0
	for ; n >= 999.5 && i < len(units)-1; i++ {
		n /= 1024
	}
	switch {
	case i == 0:
		return fmt.Sprintf("%.0f", n)
	case n < 9.95:
		return fmt.Sprintf("%.1f%c", n, units[i])
	}
	return fmt.Sprintf("%.0f%c", n, units[i])
}

// durationText writes a time in at most four columns: 12s, 3m, 5h, 12d.
func durationText(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return fmt.Sprintf("%dd", min(d/(24*time.Hour), 999))
}
