package replay

import (
	"cmp"
	"math"
	"slices"
	"sort"
	"strings"
	"time"
)

// A Reading is what Lay makes of the pieces.
type Reading struct {
	Log     []string // the replay
	Missed  []string // what of it was neither seen before nor came live
	Joins   bool     // it is shown that nothing is missing between what was seen and Missed
	Reaches bool     // and between Missed and the first live line
	Close   bool     // another reading, with another Missed, is nearly as likely

	doubtful map[uint64]bool // texts of which a line may be a live one
}

// Certain returns r without what may have come live, if the reading is close.
func (r Reading) Certain() Reading {
	if r.Close && len(r.doubtful) > 0 {
		r.Missed = slices.DeleteFunc(slices.Clone(r.Missed), func(text string) bool { return r.doubtful[Key(text)] })
	}
	return r
}

// Confirm returns what r and another reading of the same log, made later, say together. Where both are close and
// differ, only that is missed for certain in which they agree.
func (r Reading) Confirm(other Reading) Reading {
	switch {
	case r.Reaches && !other.Reaches: // it begins too late
		return r
	case !other.Close:
		return other
	case slices.Equal(r.Missed, other.Missed) && r.Joins == other.Joins && r.Reaches == other.Reaches:
		r.Close = false
		return r
	}
	r.Missed = common(r.Missed, other.Missed)
	return r
}

// common returns what two texts begin with and what they end with together.
func common(a, b []string) []string {
	n := min(len(a), len(b))
	i, j := 0, 0
	for i < n && a[i] == b[i] {
		i++
	}
	for j < n-i && a[len(a)-1-j] == b[len(b)-1-j] {
		j++
	}
	return slices.Concat(a[:i], a[len(a)-j:])
}

// Lay separates the replay from the live lines that fell into it, and finds where in it what was seen ends, and where
// the live output begins.
//
// seen are the keys of the last lines before the loss. second is what came on the connection that asked for the log,
// from then on to the replay's end, before what came on it just before, which was live. live is the live output of the
// other connection, which had begun before asked, when the log was asked for.
//
// What it goes by: the log is one sequence. seen is a piece of it, the replay is a piece, the live output is a piece
// and begins behind seen. second is the replay and a piece of live, shuffled into each other. Each line of second is
// therefore of the replay: older than all that was seen, or the next of seen, or missed, or the next of live; or it is
// the next live line. The reading that costs least is taken, in bits: a line that is the next costs nothing, one that
// could be any costs the more the rarer its text is, and a live line costs the more the farther from its time on the
// first connection it is. It is found from line to line, by keeping for each state the cheapest way into it.
func Lay(seen []uint64, before, second, live []Line, asked time.Time) Reading {
	l := newLayout(seen, before, second, live, asked)
	for pos := range l.items {
		l.step(pos)
	}
	return l.choose()
}

const (
	bitsNew     = 14 // a text that was never seen
	bitsAgain   = 16 // beside it, at most, when it comes live too: such a text would have to be one of those that repeat
	bitsNoJoin  = 4  // the log does not go back to what was seen
	bitsLive    = 8  // a live line falls into the replay
	bitsUnknown = 20 // a live line came on the second connection alone
	bitsMore    = 2  // and another right behind it
	bitsSkipped = 10 // a live line is missing where it should be
	bitsEmpty   = 10 // none of the replay has come
	bitsCut     = 20 // the log ends before what was seen does
	bitsSure    = 40 // it ends before the live output of that time does
	bitsClose   = 5  // readings that differ by less are nearly as likely
	perBit      = 2 * time.Millisecond
	farApart    = 4 * time.Millisecond   // enough to make it doubtful that a line is live
	apart       = 100 * time.Millisecond // between the arrivals of a live line on both connections, at most

	// Where many lines are alike this bounds the work, whatever has come: the states in all, but for each item a few, and
	// the live lines that an item may be.
	maxStates = 60_000
	minStates = 12
	maxNear   = 6
)

// An item is a line of the second connection that is not empty and not the daemon's own.
type item struct {
	key       uint64
	isAltered bool // as only live lines are
	isPlain   bool // not altered where a live line would be
	at        time.Time
	line      int     // its position in second; -1: it is from before the question, so live
	bits      float64 // its price as a missed line
}

// phase is the part of the log that the replay has come to.
type phase uint8

const (
	unbegun phase = iota // it has not begun
	older                // than all that was seen
	inSeen               // next: the position in seen
	missing              // next: unused
	inLive               // next: the position in live
)

// state is a partial reading, as far as what follows depends on it.
type state struct {
	phase phase
	next  int32
	live  int32 // the live line that comes next, if one has come; -1
	from  int32 // the item behind the last one that was seen; 0: none was
}

type node struct {
	state
	bits   float64
	before int32 // in the layer before
	isLive bool  // how the item was read
}

type layout struct {
	seen    []uint64
	second  []Line
	items   []item
	live    []Line // without the daemon's own
	keys    []uint64
	known   int // live lines that had come when the log was asked for
	asked   time.Time
	places  map[uint64][]int32 // of the texts in seen
	where   map[uint64][]int32 // and in live
	unlike  float64            // what it costs that a text repeats
	skipped []float64          // what it costs that the first so many of live did not come on the second connection
	layers  [][]node
}

func newLayout(seen []uint64, before, second, live []Line, asked time.Time) *layout {
	l := &layout{skipped: []float64{0}, seen: seen, second: second, asked: asked, places: make(map[uint64][]int32), where: make(map[uint64][]int32)}
	for i, key := range seen {
		l.places[key] = append(l.places[key], int32(i))
	}
	for _, line := range live {
		if line.Text == "" || OfDaemon(line.Text) {
			continue
		}
		key := Key(line.Text)
		l.where[key] = append(l.where[key], int32(len(l.keys)))
		l.live, l.keys = append(l.live, line), append(l.keys, key)
		l.skipped = append(l.skipped, l.skipped[len(l.skipped)-1]+max(0, min(bitsSkipped, inBits(line.At.Sub(asked)))))
		if line.At.Before(asked) {
			l.known++
		}
	}
	for _, line := range before {
		if line.Text != "" && !OfDaemon(line.Text) {
			l.items = append(l.items, item{key: Key(line.Text), at: line.At, line: -1})
		}
	}
	copies, repeated := make(map[uint64]int, len(second)), 0
	for i, line := range second {
		if line.Text == "" || OfDaemon(line.Text) {
			continue
		}
		it := item{key: Key(line.Text), at: line.At, line: i, isAltered: strings.Contains(line.Text, "\r\n")}
		it.isPlain = !it.isAltered && strings.Contains(line.Text, " \r")
		copies[it.key]++
		l.items = append(l.items, it)
	}
	for _, at := range l.places {
		if len(at) > 1 {
			repeated += len(at)
		}
	}
	for key, n := range copies {
		if n += len(l.places[key]); n > 2 {
			repeated += n
		}
	}
	l.unlike = min(bitsAgain, math.Log2(float64(len(seen)+len(second)+1)/(float64(repeated)+0.01)))
	for i := range l.items {
		l.items[i].bits = l.price(l.items[i].key, copies[l.items[i].key])
	}
	l.layers = append(l.layers, []node{{state: state{unbegun, 0, -1, 0}}})
	return l
}

// price returns what a line of this text costs as a missed one: the more the rarer it is. copies is how often it is in
// second.
func (l *layout) price(key uint64, copies int) float64 {
	n := len(l.places[key])
	switch again := len(l.where[key]); {
	case n > 0:
	case again == 0:
		return bitsNew
	case again == 1 && copies <= 2:
		return bitsNew + l.unlike
	default:
		n = again
	}
	return math.Log2(float64(Remember+1) / float64(n))
}

// step reads the item at pos in every way that it can be read.
func (l *layout) step(pos int) {
	it := &l.items[pos]
	last := l.layers[pos]
	var layer []node
	index := make(map[state]int, len(last))
	for i := range last {
		n := &last[i]
		reach := func(s state, bits float64, isLive bool) {
			if s.phase == inSeen && int(s.next) == len(l.seen) {
				s.phase, s.next, s.from = missing, 0, int32(pos+1)
			}
			to := node{s, n.bits + bits, int32(i), isLive}
			if at, ok := index[s]; !ok {
				index[s] = len(layer)
				layer = append(layer, to)
			} else if to.bits < layer[at].bits {
				layer[at] = to
			}
		}
		if !it.isAltered && it.line >= 0 {
			l.ofLog(n.state, it, reach)
		}
		if !it.isPlain {
			l.ofLive(n, it, reach)
		}
		if n.phase == unbegun && n.live < 0 && !it.isPlain { // the first connection may have been subscribed later
			bits := float64(bitsUnknown)
			if len(l.live) > 0 {
				bits += max(0, min(bitsSkipped, inBits(it.at.Sub(l.live[0].At))))
			}
			reach(n.state, bits, true)
		}
	}
	if most := max(minStates, maxStates/len(l.items)); len(layer) > most {
		slices.SortFunc(layer, func(a, b node) int { return cmp.Compare(a.bits, b.bits) })
		layer = layer[:most]
	}
	l.layers = append(l.layers, layer)
}

// ofLog reads an item as the replay's next line.
func (l *layout) ofLog(s state, it *item, reach func(state, float64, bool)) {
	switch s.phase {
	case unbegun:
		s.phase = missing
		reach(s, bitsNoJoin+it.bits, false)
		if len(l.keys) > 0 && it.key == l.keys[0] {
			reach(state{inLive, 1, s.live, 0}, bitsNoJoin, false)
		}
		if len(l.seen) > 0 {
			s.phase = older
			reach(s, it.bits, false)
		}
		for _, at := range l.places[it.key] {
			reach(state{inSeen, at + 1, s.live, 0}, 0, false)
		}
	case older:
		reach(s, it.bits, false)
		if it.key == l.seen[0] {
			s.phase, s.next = inSeen, 1
			reach(s, 0, false)
		}
	case inSeen:
		if it.key == l.seen[s.next] {
			s.next++
			reach(s, 0, false)
		}
	case missing:
		reach(s, it.bits, false)
		if len(l.keys) > 0 && it.key == l.keys[0] {
			s.phase, s.next = inLive, 1
			reach(s, 0, false)
		}
	case inLive:
		if int(s.next) == len(l.keys) { // the log runs ahead of the live output, which has had time to follow
			reach(s, it.bits+bitsSkipped, false)
		} else if it.key == l.keys[s.next] {
			s.next++
			reach(s, 0, false)
		}
	}
}

// ofLive reads an item as the next live line. The first may be any; those before it that should have come cost
// something.
func (l *layout) ofLive(n *node, it *item, reach func(state, float64, bool)) {
	s := n.state
	if s.live >= 0 {
		if int(s.live) < len(l.keys) && l.keys[s.live] == it.key {
			bits := l.distance(it.at, l.live[s.live].At)
			s.live++
			reach(s, stray(n)+bits, true)
		}
		return
	}
	for _, at := range l.near(it) {
		bits := stray(n) + l.distance(it.at, l.live[at].At)
		if int(at) > l.known {
			bits += l.skipped[at] - l.skipped[l.known]
		}
		s.live = at + 1
		reach(s, bits, true)
	}
}

// near returns the live lines of an item's text that came at about the same time.
func (l *layout) near(it *item) []int32 {
	all := l.where[it.key]
	from := sort.Search(len(all), func(i int) bool { return !l.live[all[i]].At.Before(it.at.Add(-apart)) })
	to := sort.Search(len(all), func(i int) bool { return l.live[all[i]].At.After(it.at.Add(apart)) })
	if to-from > maxNear {
		at := sort.Search(len(all), func(i int) bool { return !l.live[all[i]].At.Before(it.at) })
		from, to = max(from, at-maxNear/2), min(to, at+maxNear/2)
	}
	return all[from:to]
}

// stray is what a live line costs where it stands: none of the replay comes at once, little of it takes long, and live
// lines come in bursts.
func stray(n *node) float64 {
	switch {
	case n.phase == unbegun:
		return 1
	case n.isLive:
		return bitsMore
	}
	return bitsLive
}

func (l *layout) distance(a, b time.Time) float64 { return min(bitsNew, inBits(a.Sub(b).Abs())) }

func inBits(d time.Duration) float64 { return float64(d) / float64(perBit) }

// final returns what a reading costs that ends in s, beside what its lines have cost.
func (l *layout) final(s state) float64 {
	bits := 0.0
	reached := 0
	switch s.phase {
	case inLive:
		reached = int(s.next)
	case unbegun:
		bits += bitsEmpty
	case older, inSeen:
		bits += bitsCut
	}
	// What had come live when the log was asked for is in it. What came later is the less likely in it the later it came.
	for i, line := range l.live {
		if i >= reached && i >= l.known {
			break
		}
		if i >= reached {
			bits += bitsSure
		} else if i >= l.known {
			bits += min(bitsNew, inBits(line.At.Sub(l.asked))/4)
		}
	}
	// Every line that came live while the replay did is in second.
	if len(l.items) > 0 {
		end := l.items[len(l.items)-1].at
		for i := max(l.known, int(s.live)); i < len(l.live) && l.live[i].At.Before(end); i++ {
			bits += min(bitsSkipped, inBits(end.Sub(l.live[i].At)), inBits(l.live[i].At.Sub(l.asked)))
		}
	}
	return bits
}

// choose takes the cheapest reading.
func (l *layout) choose() Reading {
	ends := slices.Clone(l.layers[len(l.layers)-1])
	if len(ends) == 0 { // nothing fits: lines are missing somewhere
		return Reading{}
	}
	for i := range ends {
		ends[i].bits += l.final(ends[i].state)
	}
	slices.SortStableFunc(ends, func(a, b node) int { return cmp.Compare(a.bits, b.bits) })
	best := l.read(ends[0])
	for _, other := range ends[1:min(len(ends), 32)] {
		if other.bits-ends[0].bits > bitsClose {
			break
		}
		r := l.read(other)
		if slices.Equal(r.Missed, best.Missed) {
			continue
		}
		best.Close = true
		if !best.Joins { // nothing tells them apart
			best.Missed = common(best.Missed, r.Missed)
		}
	}
	return best
}

// read returns the reading that ends in n.
func (l *layout) read(n node) Reading {
	path := make([]node, len(l.items))
	for pos := len(l.items) - 1; pos >= 0; pos-- {
		path[pos] = n
		n = l.layers[pos][n.before]
	}
	var r Reading
	texts := make(map[uint64]int)
	isLive := make([]bool, len(l.second))
	for pos, n := range path {
		switch it := &l.items[pos]; {
		case !n.isLive:
			texts[it.key]++
		case it.line >= 0:
			isLive[it.line] = true
		}
	}
	end := state{phase: missing}
	if len(path) > 0 {
		end = path[len(path)-1].state
	}
	first, last := -1, -1 // of the missed lines, in second; what was seen ends before first
	for pos, n := range path {
		it := &l.items[pos]
		switch {
		case n.isLive:
		case n.phase == inSeen, n.phase == missing && int(n.from) == pos+1: // one that was seen
			first = it.line + 1
			r.Joins = r.Joins || len(l.places[it.key]) == 1 && texts[it.key] == 1
		case n.phase == missing:
			last = it.line
		}
	}
	for i, line := range l.second {
		if isLive[i] || OfDaemon(line.Text) {
			continue
		}
		r.Log = append(r.Log, line.Text)
		if max(first, 0) <= i && i <= last {
			r.Missed = append(r.Missed, line.Text)
		}
	}
	r.doubtful = make(map[uint64]bool)
	// A stray of a text that repeats might be another line of that text.
	for pos, n := range path {
		it := &l.items[pos]
		if n.isLive && it.line >= 0 && n.live > 0 && texts[it.key] > 0 {
			far := it.at.Sub(l.live[n.live-1].At).Abs() > farApart
			if far || texts[it.key] > 1 || len(l.places[it.key]) > 0 || len(l.where[it.key]) > 1 {
				r.Close = true
				r.doubtful[it.key] = true
			}
		}
	}
	r.Joins = r.Joins && end.phase != inSeen
	if r.Reaches = end.phase == inLive || end.phase == missing && l.known == 0; !r.Reaches {
		// All of the replay may have come live.
		r.Missed = slices.DeleteFunc(r.Missed, func(text string) bool { return len(l.where[Key(text)]) > 0 })
	}
	return r
}
