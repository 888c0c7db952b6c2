package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"charm.land/bubbles/v2/textinput"
	tea "charm.land/bubbletea/v2"
	xansi "github.com/charmbracelet/x/ansi"

	"github.com/pterosocket/pterosocket-go/pterosocket"
)

// watched is what top shows. *pterosocket.Fleet is one.
type watched interface {
	Snapshot() []pterosocket.ServerSnapshot
	Budget() pterosocket.FleetBudget
	Commands(server string) (*pterosocket.Commands, error)
}

// topModel is the state of top. Bubble Tea calls its methods from one goroutine.
type topModel struct {
	ctx    context.Context // its end ends what keys have begun
	fleet  watched
	board  *board
	glyphs []rune
	now    func() time.Time

	width, height int
	rows          []row // those that the filter lets through, in order
	all           int   // servers, with those that it does not
	connected     int
	waiting       int // servers that are to be connected
	budget        pterosocket.FleetBudget
	meters        map[string]*meter
	refreshes     int

	selected   string // a server's ID
	first      int    // the index of the first row on the screen
	sortBy     column
	descending bool
	filter     textinput.Model
	filtering  bool
	asking     *question // the user must confirm
	note       string    // shown until the next key
	notes      int       // how many of the board's have been shown
	helping    bool
	console    *consolePane        // nil: the table is shown
	unsent     map[string][]string // lines that were typed, by server; the first is on its way
}

// A row is a server in the table.
type row struct {
	pterosocket.ServerSnapshot
	network float64 // bytes a second
	lines   float64 // a second
}

// A question is what the user must confirm.
type question struct {
	server, name string
	action       pterosocket.PowerAction
}

// Messages to the model.
type (
	refresh struct{}                // it is time to look again
	told    struct{ text string }   // what the user asked for has ended
	sent    struct{ server string } // the first of a server's unsent lines has been, or cannot be
)

const (
	tableEvery   = 500 * time.Millisecond
	consoleEvery = 100 * time.Millisecond
	// actionTimeout bounds what a key asks for, once there is a connection.
	actionTimeout = 10 * time.Second
)

func newTopModel(ctx context.Context, fleet watched, b *board, glyphs []rune) *topModel {
	m := &topModel{ctx: ctx, fleet: fleet, board: b, glyphs: glyphs, now: time.Now, width: 80, height: 24,
		meters: make(map[string]*meter), unsent: make(map[string][]string)}
	m.filter = newField("/", 60)
	m.look()
	return m
}

// Init is the first thing that Bubble Tea calls.
func (m *topModel) Init() tea.Cmd { return m.again() }

// again asks for the next refresh. Whatever comes meanwhile waits for it, so a flood of lines draws no more often.
func (m *topModel) again() tea.Cmd {
	every := tableEvery
	if m.console != nil {
		every = consoleEvery
	}
	return tea.Tick(every, func(time.Time) tea.Msg { return refresh{} })
}

// Update deals with a key, a size or a result.
func (m *topModel) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case refresh:
		if m.refreshes++; m.console == nil || m.refreshes%int(tableEvery/consoleEvery) == 0 {
			m.look()
		} else {
			m.console.look()
		}
		return m, m.again()
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
		m.look()
	case told:
		m.note = plainCell(msg.text)
	case sent:
		m.look()
		if m.unsent[msg.server] = m.unsent[msg.server][1:]; len(m.unsent[msg.server]) > 0 {
			return m, m.send(msg.server)
		}
	case tea.KeyPressMsg:
		if msg.String() == "ctrl+c" {
			return m, tea.Quit
		}
		return m, m.onKey(msg)
	case tea.PasteMsg: // into a field only: in the table its letters would be keys
		switch {
		case m.console != nil:
			return m, m.console.update(msg)
		case m.filtering:
			return m, m.updateFilter(msg)
		}
	}
	return m, nil
}

// look takes a snapshot and puts the rows into order.
func (m *topModel) look() {
	now := m.now()
	snapshots := m.fleet.Snapshot()
	m.budget = m.fleet.Budget()
	m.all, m.connected, m.waiting = len(snapshots), 0, 0
	m.rows = m.rows[:0]
	filter := strings.ToLower(m.filter.Value())
	meters := make(map[string]*meter, len(snapshots)) // without those of servers that have left
	for _, s := range snapshots {
		if s.Connected {
			m.connected++
		} else if s.Since.IsZero() && s.Err == nil && !unavailable(s.Server) {
			m.waiting++
		}
		id := s.Server.ID
		meters[id] = cmp.Or(m.meters[id], new(meter))
		lines := meters[id].measure(now, s.Metrics.ConsoleLines)
		texts := strings.Join([]string{id, s.Server.Name, s.Server.Node, stateText(&s)}, " ")
		if filter != "" && !strings.Contains(strings.ToLower(texts), filter) {
			continue
		}
		r := row{ServerSnapshot: s, lines: lines}
		if s.Connected && s.State != pterosocket.StateOffline {
			r.network = m.board.network(id)
		} else {
			r.Stats = pterosocket.Stats{} // it uses nothing, whatever it used last
		}
		m.rows = append(m.rows, r)
	}
	m.meters = meters
	slices.SortStableFunc(m.rows, func(a, b row) int {
		order := m.sortBy.compare(&a, &b)
		if m.descending {
			order = -order
		}
		return cmp.Or(order, cmp.Compare(strings.ToLower(a.Server.Name), strings.ToLower(b.Server.Name)), cmp.Compare(a.Server.ID, b.Server.ID))
	})
	m.scroll()
	if note, count := m.board.lastNote(); count != m.notes {
		m.note, m.notes = note, count
	}
	if m.console != nil {
		m.console.look()
	}
}

// unavailable reports whether the panel says that the server cannot be connected now.
func unavailable(s pterosocket.Server) bool { return s.Suspended || s.Installing || s.Transferring }

// index returns that of the selected row; the first if it is not there.
func (m *topModel) index() int {
	return max(0, slices.IndexFunc(m.rows, func(r row) bool { return r.Server.ID == m.selected }))
}

// scroll keeps the selected row on the screen.
func (m *topModel) scroll() {
	i, page := m.index(), m.page()
	if len(m.rows) > 0 {
		m.selected = m.rows[i].Server.ID
	}
	m.first = min(max(m.first, i-page+1), i)
	m.first = max(0, min(m.first, len(m.rows)-page))
}

// page is how many rows the screen has room for.
func (m *topModel) page() int { return max(1, m.height-3) }

// move selects another row.
func (m *topModel) move(by int) {
	if len(m.rows) == 0 {
		return
	}
	m.selected = m.rows[max(0, min(len(m.rows)-1, m.index()+by))].Server.ID
	m.scroll()
}

func (m *topModel) onKey(key tea.KeyPressMsg) tea.Cmd {
	m.note = ""
	switch {
	case m.console != nil:
		return m.onConsoleKey(key)
	case m.asking != nil:
		q := m.asking
		m.asking = nil
		if key.String() != "y" && key.String() != "Y" {
			m.note = "nothing was done"
			return nil
		}
		return m.power(q)
	case m.filtering:
		switch key.String() {
		case "enter":
			m.filtering = false
			m.filter.Blur()
			return nil
		case "esc":
			m.clearFilter()
			return nil
		case "up", "down":
		default:
			return m.updateFilter(key)
		}
	case m.helping:
		m.helping = false
		return nil
	}
	switch key.String() {
	case "q":
		return tea.Quit
	case "up", "k":
		m.move(-1)
	case "down", "j":
		m.move(1)
	case "pgup":
		m.move(-m.page())
	case "pgdown", "space":
		m.move(m.page())
	case "home", "g":
		m.move(-len(m.rows))
	case "end", "G":
		m.move(len(m.rows))
	case "/":
		m.filtering = true
		return m.filter.Focus()
	case "esc":
		m.clearFilter()
	case "?", "h":
		m.helping = true
	case "enter":
		return m.open()
	case "S", "T", "R", "K":
		m.ask(map[string]pterosocket.PowerAction{"S": pterosocket.PowerStart, "T": pterosocket.PowerStop,
			"R": pterosocket.PowerRestart, "K": pterosocket.PowerKill}[key.String()])
	default:
		m.sort(key.String())
	}
	return nil
}

func (m *topModel) updateFilter(msg tea.Msg) tea.Cmd {
	var cmd tea.Cmd
	m.filter, cmd = m.filter.Update(msg)
	m.look()
	return cmd
}

func (m *topModel) clearFilter() {
	m.filtering = false
	m.filter.Blur()
	m.filter.Reset()
	m.look()
}

// sort sorts by the column that a key stands for; the other way round if it does so already.
func (m *topModel) sort(key string) {
	for i, c := range columns {
		if c.key != key {
			continue
		}
		if by := column(i); m.sortBy == by {
			m.descending = !m.descending
		} else {
			m.sortBy, m.descending = by, c.number != nil
		}
		m.look()
	}
}

// ask asks whether an action is meant.
func (m *topModel) ask(action pterosocket.PowerAction) {
	if len(m.rows) == 0 {
		return
	}
	s := m.rows[m.index()].Server
	m.asking = &question{s.ID, xansi.Truncate(plainCell(cmp.Or(s.Name, s.ID)), 24, ellipsis), action}
}

// power does what has been confirmed.
func (m *topModel) power(q *question) tea.Cmd {
	return func() tea.Msg {
		commands, err := m.fleet.Commands(q.server)
		if err == nil {
			ctx, cancel := context.WithTimeout(m.ctx, actionTimeout)
			defer cancel()
			err = commands.WritePower(ctx, q.action)
		}
		if err != nil {
			m.board.note(q.server, fmt.Sprintf("no %s: %v", q.action, err)) // the last line may be too short for it
			return told{fmt.Sprintf("%s: no %s: %v", q.name, q.action, err)}
		}
		return told{fmt.Sprintf("%s: %s has been sent", q.name, q.action)}
	}
}

// open shows the selected server's console.
func (m *topModel) open() tea.Cmd {
	if len(m.rows) == 0 {
		return nil
	}
	s := m.rows[m.index()].Server
	m.console = newConsolePane(m.board, s.ID)
	m.console.look()
	return m.console.input.Focus()
}

func (m *topModel) onConsoleKey(key tea.KeyPressMsg) tea.Cmd {
	c := m.console
	switch key.String() {
	case "esc":
		m.console = nil
		return nil
	case "pgup":
		c.page(-1)
	case "pgdown":
		c.page(1)
	case "tab":
		c.complete()
	case "enter":
		line := c.take()
		if strings.TrimSpace(line) == "" {
			return nil
		}
		if isQuit(line) {
			m.console = nil
			return nil
		}
		m.unsent[c.server] = append(m.unsent[c.server], line)
		if len(m.unsent[c.server]) == 1 { // otherwise it waits for those before it
			return m.send(c.server)
		}
	default:
		return c.update(key)
	}
	return nil
}

// send carries out the first unsent line of a server.
func (m *topModel) send(server string) tea.Cmd {
	line := m.unsent[server][0]
	to := serverNoter{m.board, server, m.glyphs}
	return func() tea.Msg {
		commands, err := m.fleet.Commands(server)
		if err == nil {
			ctx, cancel := context.WithTimeout(m.ctx, readyFor+actionTimeout)
			defer cancel()
			err = execute(ctx, func() {}, line, commands, to)
			if err == nil {
				err = context.Cause(ctx)
			}
		}
		if err != nil {
			to.note(err.Error())
		}
		return sent{server}
	}
}
