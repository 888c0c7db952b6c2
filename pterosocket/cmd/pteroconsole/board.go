package main

import (
	"strings"
	"sync"
	"time"

	"github.com/pterosocket/pterosocket-go/internal/ansi"
	"github.com/pterosocket/pterosocket-go/pterosocket"
)

const (
	// boardLines is how many lines of a server's console top keeps, and boardLine how many bytes of one.
	boardLines = 300
	boardLine  = 1 << 10
)

// A board keeps what top shows of the servers beyond a Snapshot. One goroutine records events, another looks at it.
type board struct {
	mu      sync.Mutex
	servers map[string]*entry
	notes   int    // how many there were about the fleet, or what the user should not miss
	newest  string // of them
}

// An entry is a server on the board.
type entry struct {
	usage   resources
	players players
	lines   []string // may have colours, and are safe to print
	count   uint64   // of all lines that ever came
}

func newBoard() *board { return &board{servers: make(map[string]*entry)} }

// entry returns a server's. b.mu is held.
func (b *board) entry(server string) *entry {
	e := b.servers[server]
	if e == nil {
		e = new(entry)
		b.servers[server] = e
	}
	return e
}

// record notes an event.
func (b *board) record(ev pterosocket.FleetEvent) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if ev.Server == "" {
		b.tell("", ev.Event)
		return
	}
	e := b.entry(ev.Server)
	switch event := ev.Event.(type) {
	case pterosocket.ConsoleOutput:
		e.players.observe(event.Plain())
		e.add(ansi.Colours(shorten(event.Line)))
	case pterosocket.Stats:
		e.usage.add(ev.Time, event)
	case pterosocket.ServerRemoved:
		if event.Err == nil || event.Server.UUID == "" { // it is not in the table, or never was
			delete(b.servers, ev.Server)
		}
		b.tell(ev.Server, ev.Event)
	case pterosocket.ServerAdded, pterosocket.ServerChanged: // the table shows it
	default:
		if refused, ok := event.(pterosocket.DaemonError); ok { // perhaps what was asked for in the table
			if id, text, ok := strings.Cut(refused.Message, "]: "); ok && strings.HasPrefix(id, "Error Event [") {
				refused.Message = text // the reason itself, since the line is short
			}
			b.tell(ev.Server, refused)
		}
		if text := describe(event); text != "" {
			e.add(noteLine(text))
		}
	}
}

// tell notes an event for the whole table's last line. b.mu is held.
func (b *board) tell(server string, ev pterosocket.Event) {
	if text := describeFleet(ev); text != "" {
		b.notes++
		b.newest = strings.TrimSpace(plainCell(server + " " + shorten(text)))
	}
}

// note adds the program's own words to a server's lines.
func (b *board) note(server, text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.entry(server).add(noteLine(text))
}

func noteLine(text string) string { return "\x1b[36m* " + ansi.Plain(shorten(text)) + "\x1b[0m" }

// shorten cuts what is too long to be kept, and does not keep the rest of it in memory.
func shorten(line string) string {
	if len(line) <= boardLine {
		return line
	}
	return strings.Clone(strings.ToValidUTF8(line[:boardLine], "")) + " (cut)"
}

func (e *entry) add(line string) {
	line = strings.ReplaceAll(line, "\t", "    ")
	if len(e.lines) >= 2*boardLines { // rarely, so that a line costs little
		e.lines = append(e.lines[:0], e.lines[len(e.lines)-boardLines:]...)
	}
	e.lines = append(e.lines, line)
	e.count++
}

// console returns a server's last lines, and how many there ever were.
func (b *board) console(server string) (lines []string, count uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.entry(server)
	return append([]string(nil), e.lines[max(0, len(e.lines)-boardLines):]...), e.count
}

// complete completes a line that is typed for a server.
func (b *board) complete(server, line string) (completed string, ways []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.entry(server).players.complete(line)
}

// graph draws a server's last ten minutes.
func (b *board) graph(server string, glyphs []rune) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.entry(server).usage.graph(glyphs)
}

// cpu returns the last values of a server's processor.
func (b *board) cpu(server string, samples int) []float64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.entry(server).usage.cpu.last(samples)
}

// network returns how many bytes a second go over a server's network.
func (b *board) network(server string) float64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.entry(server).usage.network.latest()
}

// lastNote returns the newest note for the whole table, and how many there were.
func (b *board) lastNote() (text string, count int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.newest, b.notes
}

// serverNoter is the noter and grapher of one server on the board.
type serverNoter struct {
	*board
	server string
	glyphs []rune
}

func (n serverNoter) note(text string) { n.board.note(n.server, text) }
func (n serverNoter) graph() string    { return n.board.graph(n.server, n.glyphs) }

// A meter measures how many lines a second a server prints.
type meter struct {
	at    time.Time
	count uint64
	rate  float64
}

// measure returns the rate of the last seconds.
func (m *meter) measure(now time.Time, count uint64) float64 {
	switch passed := now.Sub(m.at); {
	case m.at.IsZero() || count < m.count: // a restart counts from zero
		*m = meter{now, count, 0}
	case passed >= 2*time.Second:
		*m = meter{now, count, float64(count-m.count) / passed.Seconds()}
	}
	return m.rate
}
