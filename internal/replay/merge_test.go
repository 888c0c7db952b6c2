package replay

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lines makes held lines of words. A "|" is a pause.
func lines(words string) []Line {
	var out []Line
	at := time.Time{}
	for _, w := range strings.Fields(words) {
		if w == "|" {
			at = at.Add(time.Second)
			continue
		}
		out = append(out, Line{Text: strings.ReplaceAll(w, "_", ""), At: at})
	}
	return out
}

func keys(words string) []uint64 {
	var s Seen
	for _, w := range strings.Fields(words) {
		s.Add(w)
	}
	return s.Keys()
}

func TestMerge(t *testing.T) {
	for _, test := range []struct{ name, seen, held, want, gap string }{
		{"nothing missed", "a b c", "a b c", "", ""},
		{"missed", "a b c", "a b c d e", "d* e*", ""},
		{"live after", "a b c", "a b c d | e", "d* e", ""},
		{"replay longer than what was seen", "c", "a b c d", "d*", ""},
		{"replay shorter", "a b c", "c d", "d*", ""},
		{"live first, and again in the replay", "a b c", "e f b c d e f g", "d* e f g", ""},
		{"live first, and only live", "a b c", "e b c d", "d* e", ""},
		{"live between", "a b c", "a e b c d e", "d* e", ""},
		{"live between, only live", "a b c", "a e b c d", "d* e", ""},
		{"live in what was missed", "a b c", "a b c d f e f", "d* e* f", ""},
		{"live before a pause, with little seen", "c", "x | a b c d", "d* x", ""},
		{"repeated lines", "t a t t", "t a t t t b", "t* b*", ""},
		{"only repeated lines", "t t t", "t t t t", "t*", ""},
		{"empty lines", "a b", "_ a _ b _ c", "* c*", ""},
		{"no overlap", "a b c", "x y z", "x* y* z*", "gap"},
		{"a common line does not make an overlap", "a b t", "p q r s t u v", "p* q* r* s* t* u* v*", "gap"},
		{"seen out of order", "a b d c", "a b c d e", "e*", ""},
		{"seen out of order, further back", "a b d c e", "a b c d e f", "f*", ""},
		{"a repeated line at the cut", "a b c t", "a b c t t t", "t* t*", ""},
		{"repeated lines at the cut", "a b c t t t", "a b c t t t t t", "t* t*", ""},
		{"nothing seen", "", "x y", "x* y*", "gap"},
		{"nothing held", "a", "", "", "gap"},
	} {
		t.Run(test.name, func(t *testing.T) {
			merged, continuous := Merge(keys(test.seen), lines(test.held))
			var got []string
			for _, l := range merged {
				text := l.Text
				if l.Replayed {
					text += "*"
				}
				got = append(got, text)
			}
			if diff := cmp.Diff(strings.Fields(test.want), got, cmp.Transformer("nil", func(s []string) []string { return append([]string{}, s...) })); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if continuous != (test.gap == "") {
				t.Errorf("continuous = %v", continuous)
			}
		})
	}
}

func TestMergeKnowsWhatTheReplayAlters(t *testing.T) {
	daemon := "\x1b[33m\x1b[1m[Pterodactyl Daemon]:\x1b[39m hi\x1b[0m"
	var seen Seen
	for _, l := range []string{"a", "mid\r\n return", daemon} {
		seen.Add(l)
	}
	held := []Line{{Text: daemon}, {Text: "new\r\n live"}, {Text: "a"}, {Text: "mid \r return"}, {Text: ""}, {Text: "x"}, {Text: "new \r live"}}
	merged, continuous := Merge(seen.Keys(), held)
	var got []string
	for _, l := range merged {
		got = append(got, l.Text)
	}
	if want := []string{"", "x", daemon, "new \r live"}; !continuous || !slices.Equal(got, want) {
		t.Errorf("got %q, %v", got, continuous)
	}
}

// A model of a daemon: a log, of which the client saw the lines before cut, was subscribed again at back, and gets a replay that
// was read at read. All of it is shuffled as a daemon may.
type model struct {
	log                   []string
	cut, back, read, size int
}

func newModel(r *rand.Rand, repeats bool) model {
	m := model{size: 5 + r.IntN(150)}
	total := 200 + r.IntN(200)
	for i := range total {
		switch n := r.IntN(20); {
		case repeats && n < 4:
			m.log = append(m.log, fmt.Sprint("tick ", n%2))
		case n == 5:
			m.log = append(m.log, fmt.Sprintf("mid %d \r return", i))
		case n == 6:
			m.log = append(m.log, "")
		default:
			m.log = append(m.log, fmt.Sprint("line ", i))
		}
	}
	m.read = 160 + r.IntN(total-160)
	m.back = m.read - r.IntN(min(15, m.size-2))
	m.cut = m.back - r.IntN(m.size-(m.read-m.back)-1) // covered by the history, with at least one line of overlap
	return m
}

// held shuffles the replay and the live lines. With strays, live lines that are in no replay may fall into it.
func (m model) held(r *rand.Rand, strays bool) []Line {
	replayed := m.log[m.read-m.size : m.read]
	var liveLines []string
	for _, l := range m.log[m.back:] {
		if l != "" {
			liveLines = append(liveLines, strings.ReplaceAll(l, " \r", "\r\n"))
		}
	}
	inReplay := 0
	for _, l := range m.log[m.back:m.read] {
		if l != "" {
			inReplay++
		}
	}
	var out []Line
	at := time.Time{}
	for len(replayed) > 0 || len(liveLines) > 0 {
		mayLive := len(liveLines) > 0 && (strays || inReplay > 0 || len(replayed) == 0)
		if len(replayed) == 0 && inReplay <= 0 && !strays {
			at = at.Add(time.Second) // what is printed later comes later
		}
		if len(replayed) == 0 || mayLive && r.IntN(8) == 0 {
			out = append(out, Line{Text: liveLines[0], At: at})
			liveLines = liveLines[1:]
			inReplay--
			continue
		}
		out = append(out, Line{Text: replayed[0], At: at})
		replayed = replayed[1:]
	}
	return out
}

// check runs one model and returns how many unique lines were lost, doubled, and, of all lines, misplaced.
func check(t *testing.T, r *rand.Rand, repeats, strays bool) (lost, doubled, misplaced int) {
	t.Helper()
	m := newModel(r, repeats)
	var seen Seen
	for _, l := range m.log[:m.cut] {
		seen.Add(l)
	}
	out, continuous := Merge(seen.Keys(), m.held(r, strays))
	if !continuous {
		// Common lines only, or live lines all around a short overlap, do not show that nothing is missing: a gap it is.
		if strings.HasPrefix(m.log[m.cut-1], "line") && !strays {
			t.Errorf("a gap, although the history covers it: %+v", m)
		}
		return 0, 0, 0
	}
	count := make(map[uint64]int)
	for _, l := range out {
		count[Key(l.Text)]++
	}
	for _, l := range m.log[m.cut:] {
		if l == "" || strings.HasPrefix(l, "tick") {
			continue
		}
		switch n := count[Key(l)]; {
		case n == 0:
			lost++
		case n > 1:
			doubled += n - 1
		}
	}
	for _, l := range m.log[:m.cut] {
		if strings.HasPrefix(l, "line") {
			doubled += count[Key(l)]
		}
	}
	last := -1
	for _, l := range out {
		if i := slices.Index(m.log, strings.ReplaceAll(l.Text, "\r\n", " \r")); i >= 0 && strings.HasPrefix(l.Text, "line") {
			if i < last {
				misplaced++
			}
			last = max(last, i)
		}
	}
	return lost, doubled, misplaced
}

func TestMergeAgainstAModel(t *testing.T) {
	for _, test := range []struct{ repeats, strays bool }{{false, false}, {true, false}, {false, true}, {true, true}} {
		t.Run(fmt.Sprintf("repeats=%v,strays=%v", test.repeats, test.strays), func(t *testing.T) {
			for seed := range uint64(1500) {
				lost, doubled, misplaced := check(t, rand.New(rand.NewPCG(seed, 1)), test.repeats, test.strays)
				if lost > 0 || doubled > 0 || misplaced > 0 && !test.strays && !test.repeats {
					t.Fatalf("seed %d: %d lost, %d doubled, %d misplaced", seed, lost, doubled, misplaced)
				}
			}
		})
	}
}

func TestMergeIsQuickWithAFlood(t *testing.T) {
	var seen Seen
	for i := range 1000 {
		seen.Add(fmt.Sprint("tick ", i%2))
	}
	held := make([]Line, 20_000)
	for i := range held {
		held[i].Text = fmt.Sprint("tick ", i%3)
	}
	Merge(seen.Keys(), held) // quadratic would take minutes
}
