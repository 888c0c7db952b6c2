package replay

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// lines returns lines that come one after the other from at on. "_" is an empty one.
func lines(words string, at time.Time, every time.Duration) (out []Line) {
	for _, w := range strings.Fields(words) {
		out = append(out, Line{strings.ReplaceAll(w, "_", ""), at})
		at = at.Add(every)
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

func TestLay(t *testing.T) {
	asked := time.Unix(1000, 0)
	for _, test := range []struct {
		name, seen, second, live, want string
		joins                          bool
	}{
		{"nothing missed", "a b c", "a b c", "", "", true},
		{"missed", "a b c", "a b c d e", "", "d e", true},
		{"missed, and more is seen than replayed", "a b c", "b c d", "", "d", true},
		{"missed, and more is replayed than seen", "c", "a b c d", "", "d", true},
		{"a missed text twice", "a b", "a b x hello y x", "", "x hello y x", true},
		{"nothing in common", "a b", "c d", "", "c d", false},
		{"nothing seen", "", "c d", "", "c d", false},
		{"live lines end the replay", "a b", "a b c x y", "x y", "c", true},
		{"empty lines", "a b", "a _ b _ c _", "", "_ c", true},
		{"equal lines prove nothing", "h h h", "h h h", "", "", false},
		{"what is new among equal lines", "h h h", "h h crash h", "", "crash h", false},
		{"the replay ends within what was seen", "a b c d", "a b", "", "", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := Lay(keys(test.seen), nil, lines(test.second, asked.Add(5*time.Millisecond), 0), lines(test.live, asked.Add(-time.Second), 0), asked)
			want := strings.Fields(strings.ReplaceAll(test.want, "_", "\x00"))
			for i := range want {
				want[i] = strings.ReplaceAll(want[i], "\x00", "")
			}
			if !slices.Equal(got.Missed, want) || got.Joins != test.joins {
				t.Errorf("missed %q, joins %v; want %q, %v", got.Missed, got.Joins, want, test.joins)
			}
		})
	}
}

// A flood of equal lines is bounded in work: in the states that are followed.
func TestLayIsBounded(t *testing.T) {
	asked := time.Unix(1000, 0)
	many := strings.Repeat("tick tock ", 2000)
	flood := lines(many, asked, time.Microsecond)
	l := newLayout(keys(many), nil, flood, flood, asked)
	states := 0
	for pos := range l.items {
		l.step(pos)
		states += len(l.layers[pos+1])
	}
	if states > maxStates+minStates*len(flood) {
		t.Errorf("%d states for %d lines", states, len(flood))
	}
}

// BenchmarkLay lays a replay of 150 lines and as many live ones behind it as it says.
func BenchmarkLay(b *testing.B) {
	asked := time.Unix(1000, 0)
	for _, texts := range []int{2, 1 << 20} {
		for _, live := range []int{0, 500, 4000} {
			b.Run(fmt.Sprintf("texts=%d,live=%d", texts, live), func(b *testing.B) {
				var words []string
				for i := range Remember + 100 + live {
					words = append(words, fmt.Sprint("line", i%texts))
				}
				seen := keys(strings.Join(words[:Remember], " "))
				behind := lines(strings.Join(words[Remember+100:], " "), asked, 100*time.Microsecond)
				replayed := lines(strings.Join(words[Remember-50:Remember+100], " "), asked.Add(time.Millisecond), 0)
				for b.Loop() {
					Lay(seen, nil, slices.Concat(replayed, behind), behind, asked)
				}
			})
		}
	}
}

// FuzzLay lays pieces over each other that need not be of one log. What is missed is a part of the replay, in its order.
func FuzzLay(f *testing.F) {
	f.Add("a b c", "b c d e", "e f", "")
	f.Add("h h h", "h h h h", "h", "h")
	f.Add("", "_ a _", "a", "b")
	f.Fuzz(func(t *testing.T, seen, second, live, before string) {
		asked := time.Unix(1000, 0)
		if len(seen)+len(second)+len(live)+len(before) > 2000 {
			return
		}
		replayed := lines(second, asked, time.Millisecond)
		r := Lay(keys(seen), lines(before, asked.Add(-time.Millisecond), 0), replayed, lines(live, asked.Add(-10*time.Millisecond), time.Millisecond), asked)
		r = r.Confirm(r).Certain()
		at := 0
		for _, text := range r.Missed {
			for at < len(replayed) && replayed[at].Text != text {
				at++
			}
			if at++; at > len(replayed) {
				text, _ := json.Marshal(r)
				t.Fatalf("%s is not a part of %q", text, second)
			}
		}
	})
}
