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
	a := alignment{seen: seen, held: held, again: lastPositions(held), counts: make(map[uint64]int, len(seen))}
	for _, key := range seen {
		a.counts[key]++
	}
	a.copies = make(map[uint64]int, len(held))
	for i := range held {
		a.copies[held[i].key]++
	}
	best, bestScore, unsure := -1, 1, false
	tries := 0
	for q := len(held) - 1; q >= 0 && tries < maxTries && len(seen) > 0; q-- {
		if held[q].key != seen[len(seen)-1] || held[q].kind == live {
			continue
		}
		tries++
		// Of equally good places the first one: lines that repeat may then come twice, but none is lost.
		if score, _ := a.walk(q, nil); score >= bestScore {
			unsure = best >= 0 && score == bestScore
			best, bestScore = q, score
		}
	}
	if best < 0 {
		return nil, held, false
	}
	inReplay := true
	_, skipped := a.walk(best, func(j int, exhausted bool) {
		if j < best && exhausted && held[j+1].At.Sub(held[j].At) > pause {
			inReplay = false // what came before the replay is live
		}
		if held[j].kind == old || exhausted && inReplay && held[j].kind != live && a.again[held[j].key] <= best {
			// A line of the replay: from before the client was first connected, if everything seen has been found.
			return
		}
		early = append(early, held[j])
	})
	slices.Reverse(early)
	for _, l := range held[best+1:] {
		if unsure && a.counts[l.key] == 1 && a.copies[l.key] == 1 && l.kind != live {
			continue // a text that does not repeat has been seen, wherever the replay begins
		}
		if i := slices.Index(skipped, l.key); i >= 0 && l.kind != live { // seen out of order
			skipped = slices.Delete(skipped, i, i+1)
			continue
		}
		rest = append(rest, l)
	}
	return early, rest, true
}

// maxTries bounds how many places are tried for a last line that is printed again and again, and how bad a place may look before
// it is given up.
const maxTries = 64

// slack is how far the order in which lines were seen may differ from the log's, by a live line that could not be told from a
// replayed one earlier.
const slack = 8

// An alignment compares held with seen.
type alignment struct {
	seen   []uint64
	held   []Line
	again  map[uint64]int // where in held a text comes last
	counts map[uint64]int // how often a text is in seen
	copies map[uint64]int // how often a text is in held
}

// walk goes back from held[q], taken for the last seen line, and compares. It returns one point for each line that was seen in the
// same order, less one for each that was not, unless it is a live line for all that is known; and what of seen it skipped.
// unseen, if not nil, is called for each line that was not, with whether all of seen had been found by then.
func (a *alignment) walk(q int, unseen func(j int, exhausted bool)) (points int, skipped []uint64) {
	seen, held, again := a.seen, a.held, a.again
	i := len(seen) - 1
	for j := q; j >= 0 && (unseen != nil || i >= 0 && points > -maxTries); j-- {
		if held[j].kind != live {
			if d := a.back(i, held[j].key); d >= 0 {
				skipped = append(skipped, seen[i-d+1:i+1]...)
				points++
				i -= d + 1
				continue
			}
			if k := slices.Index(skipped, held[j].key); k >= 0 { // seen too, but out of order
				skipped = slices.Delete(skipped, k, k+1)
				points++
				continue
			}
		}
		if unseen != nil {
			unseen(j, i < 0)
		}
		if i >= 0 && held[j].kind == either && again[held[j].key] <= q { // otherwise it came live, and comes again in the replay
			points--
		}
	}
	return points, skipped
}

// Unknown returns those of held that were not seen before, when the replay is cut short or does not go on where seen ends: what
// remains besides the heaviest common subsequence of both.
func Unknown(seen []uint64, held []Line) []Line {
	for i := range held {
		classify(&held[i])
	}
	known := make([]Line, len(seen))
	for i, key := range seen {
		known[i].key = key
	}
	var out []Line
	for i, pos := range copies(held, known) {
		if pos < 0 && held[i].Text != "" {
			out = append(out, held[i])
		}
	}
	return out
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

// back returns how far before seen[i] key stands, -1 if not within slack. A text that repeats must be seen[i] itself.
func (a *alignment) back(i int, key uint64) int {
	most := 0
	if a.counts[key] == 1 && a.copies[key] == 1 {
		most = slack
	}
	for d := 0; d <= min(most, i); d++ {
		if a.seen[i-d] == key {
			return d
		}
	}
	return -1
}
