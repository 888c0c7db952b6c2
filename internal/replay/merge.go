package replay

import (
	"slices"
	"strings"
	"time"
)

// A Line is one that came while a replay was expected.
type Line struct {
	Text string
	At   time.Time // of its arrival

	Replayed bool // set by Merge: it comes from the replay, and not also live

	key  uint64
	kind kind
}

type kind uint8

const (
	either kind = iota
	live        // the daemon's own, or altered as only live lines are
	old         // from the replay: empty, or not altered
)

// pause ends a replay: its lines come in one go.
const pause = 20 * time.Millisecond

// Merge puts the lines that came while a replay was expected into the log's order, leaving out those that were seen before, and
// the second copies of those that came live and in the replay. It reports whether the replay goes on where seen ends.
//
// What it goes by: the replay R is an unbroken piece of the log; so is the live output L, which begins when the client was
// subscribed and may hold the daemon's own lines besides; held is R and L, each in order, shuffled into each other. If
// nothing is missing, some line of R is the last of seen, and the lines of R before it are the ones before that in seen.
// Whatever of L was printed before the daemon read its log, which is a beginning of L, is also the end of R.
//
// A live line that falls among the replayed ones and is in no replay itself cannot always be told from a missed one. Nor can, of
// lines that are identical, a line and its copy; a text that comes twice in held and is not in seen is taken for one line.
func Merge(seen []uint64, held []Line) (out []Line, continuous bool) {
	for i := range held {
		classify(&held[i])
	}
	early, rest, continuous := align(seen, held)
	out = order(seen, early, rest)
	return out, continuous
}

func classify(l *Line) {
	l.key = Key(l.Text)
	switch {
	case l.Text == "":
		l.kind = old
	case OfDaemon(l.Text), strings.Contains(l.Text, "\r\n"):
		l.kind = live
	case strings.Contains(l.Text, " \r"):
		l.kind = old
	}
}

// align finds the last seen line in held. early are the live lines that came before it; rest is all that came behind it. When the
// last seen line cannot be found where it should be, all is rest.
func align(seen []uint64, held []Line) (early, rest []Line, found bool) {
	again := lastPositions(held)
	best, bestScore, unsure := -1, 0, false
	tries := 0
	for q := len(held) - 1; q >= 0 && tries < maxTries && len(seen) > 0; q-- {
		if held[q].key != seen[len(seen)-1] || held[q].kind == live {
			continue
		}
		tries++
		if score := score(seen, held, again, q); score > bestScore {
			best, bestScore, unsure = q, score, false
		} else if score == bestScore {
			unsure = true // lines that repeat, with nothing among them to hold on to
		}
	}
	if best < 0 || unsure {
		return nil, held, false
	}
	// Walk back again, and keep what is not in the replay.
	i := len(seen) - 1
	inReplay := true
	for j := best; j >= 0; j-- {
		if j < best && i < 0 && held[j+1].At.Sub(held[j].At) > pause {
			inReplay = false // what came before the replay is live
		}
		switch {
		case i >= 0 && held[j].key == seen[i] && held[j].kind != live:
			i--
		case held[j].kind == old:
		case i < 0 && inReplay && held[j].kind != live && again[held[j].key] <= best:
			// Everything seen has been found, so this is a line of the log from before the client was first connected.
		default:
			early = append(early, held[j])
		}
	}
	slices.Reverse(early)
	return early, held[best+1:], true
}

// lastPositions returns where each text comes last, where that may be in the replay.
func lastPositions(held []Line) map[uint64]int {
	last := make(map[uint64]int, len(held))
	for i := range held {
		if held[i].kind != live {
			last[held[i].key] = i
		}
	}
	return last
}

// maxTries bounds how many places are tried for a last line that is printed again and again, and how bad a place may look before
// it is given up.
const maxTries = 64

// score tells how well held fits when the line at q is the last seen one: one point for each line before it that was seen in the
// same order, and one off for each that was not, unless it is a live line for all that is known.
func score(seen []uint64, held []Line, again map[uint64]int, q int) int {
	points := 0
	i := len(seen) - 1
	for j := q; j >= 0 && i >= 0 && points > -maxTries; j-- {
		switch {
		case held[j].key == seen[i] && held[j].kind != live:
			points++
			i--
		case held[j].kind != either:
		case again[held[j].key] > q: // came live, and comes again in the replay
		default:
			points--
		}
	}
	return points
}

// order puts what is new into the log's order: early are live lines, in order; rest holds replayed and live ones.
func order(seen []uint64, early, rest []Line) []Line {
	drop := make([]bool, len(rest))    // the live copy of a line that is kept where it stands in the replay
	wasLive := make([]bool, len(rest)) // the replayed copy of a line that came live too
	before := make(map[int][]Line)     // live lines that belong right before this one of rest
	end := replayEnd(rest)             // no replayed line from here on
	pairedUpTo := -1                   // the last replayed copy
	var pendingLive []Line             // of early, without a copy so far
	early = once(seen, early)
	for i, pos := range copies(early, rest[:end]) {
		if pos < 0 {
			pendingLive = append(pendingLive, early[i])
			continue
		}
		wasLive[pos] = true
		before[pos] = pendingLive
		pendingLive = nil
		pairedUpTo = pos
	}
	pairs(seen, rest[:end], drop, wasLive)
	for i := len(rest) - 1; i > pairedUpTo; i-- {
		if wasLive[i] {
			pairedUpTo = i
			break
		}
	}
	// The live lines without a copy were printed after the replay was read: they belong behind it.
	tail := end
	if pairedUpTo >= 0 && pairedUpTo < end {
		tail = pairedUpTo + 1 // the replay ends with the lines that came live
	}
	out := make([]Line, 0, len(rest)+len(early))
	emit := func(l Line, replayed bool) {
		l.Replayed = replayed
		out = append(out, l)
	}
	for i := 0; i <= len(rest); i++ {
		if i == tail {
			for _, l := range pendingLive {
				emit(l, false)
			}
		}
		if i == len(rest) {
			break
		}
		for _, l := range before[i] {
			emit(l, false)
		}
		if !drop[i] {
			emit(rest[i], i < tail && !wasLive[i] && rest[i].kind != live)
		}
	}
	return out
}

// once leaves out the first of two equal lines that were never seen before: one is the replay's, taken for live because its place
// could not be told.
func once(seen []uint64, early []Line) []Line {
	drop := make([]bool, len(early))
	pairs(seen, early, drop, make([]bool, len(early)))
	out := early[:0]
	for i, l := range early {
		if !drop[i] {
			out = append(out, l)
		}
	}
	return out
}

// copies returns, for each of early, where in rest its replayed copy is, -1 if there is none. That is a common subsequence, the
// heaviest: some of what repeats in early may be the replay's after all, so a line that does not repeat weighs more than any
// number of such.
func copies(early, rest []Line) []int {
	positions := make([]int, len(early))
	for i := range positions {
		positions[i] = -1
	}
	from := max(0, len(early)-remember)
	some := early[from:]
	if len(some) == 0 || len(rest) == 0 {
		return positions
	}
	same := func(a, b *Line) bool { return a.key == b.key && b.kind != live && !OfDaemon(a.Text) }
	counts := make(map[uint64]int)
	for _, lines := range [][]Line{some, rest} {
		for i := range lines {
			counts[lines[i].key]++
		}
	}
	// weight[i][j] is that of the heaviest common subsequence of some[i:] and rest[j:].
	weight := make([][]uint32, len(some)+1)
	for i := range weight {
		weight[i] = make([]uint32, len(rest)+1)
	}
	take := func(i, j int) uint32 {
		if !same(&some[i], &rest[j]) {
			return 0
		}
		if counts[some[i].key] == 2 {
			return weight[i+1][j+1] + 2*remember
		}
		return weight[i+1][j+1] + 1
	}
	for i := len(some) - 1; i >= 0; i-- {
		for j := len(rest) - 1; j >= 0; j-- {
			weight[i][j] = max(take(i, j), weight[i+1][j], weight[i][j+1])
		}
	}
	for i, j := 0, 0; i < len(some) && j < len(rest); {
		switch w := weight[i][j]; {
		case w > 0 && take(i, j) == w:
			positions[from+i] = j
			i, j = i+1, j+1
		case weight[i+1][j] == w:
			i++
		default:
			j++
		}
	}
	return positions
}

// pairs finds, within rest, lines that came live in the midst of the replay and then again as a part of it: exactly twice, and
// never before. It marks the first copy to be dropped.
func pairs(seen []uint64, rest []Line, drop, wasLive []bool) {
	counts := make(map[uint64]int, len(rest))
	for i := range rest {
		counts[rest[i].key]++
	}
	if len(counts) == len(rest) {
		return
	}
	known := make(map[uint64]bool, len(seen))
	for _, key := range seen {
		known[key] = true
	}
	first := make(map[uint64]int)
	for i := range rest {
		key := rest[i].key
		if rest[i].Text == "" || counts[key] != 2 || known[key] || wasLive[i] {
			continue
		}
		if j, ok := first[key]; !ok {
			first[key] = i
		} else if !wasLive[j] {
			drop[j], wasLive[i] = true, true
		}
	}
}

// replayEnd returns the position behind the last line that can be a replayed one: where the lines first pause.
func replayEnd(lines []Line) int {
	lines = lines[:min(len(lines), remember)]
	for i := 1; i < len(lines); i++ {
		if lines[i].At.Sub(lines[i-1].At) > pause {
			return i
		}
	}
	return len(lines)
}
