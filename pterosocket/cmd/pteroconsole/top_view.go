package main

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"charm.land/bubbles/v2/textinput"
	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"
	xansi "github.com/charmbracelet/x/ansi"

	"github.com/pterosocket/pterosocket-go/internal/ansi"
	"github.com/pterosocket/pterosocket-go/pterosocket"
)

// The styles. Nothing is told by a colour alone: with NO_COLOR all of it can still be read.
var (
	inverse = lipgloss.NewStyle().Reverse(true)
	bold    = lipgloss.NewStyle().Bold(true)
	faint   = lipgloss.NewStyle().Faint(true)
	green   = lipgloss.NewStyle().Foreground(lipgloss.Green)
	yellow  = lipgloss.NewStyle().Foreground(lipgloss.Yellow)
	red     = lipgloss.NewStyle().Foreground(lipgloss.Red)
)

// column is one of the table, by its index in columns.
type column int

// columns are what the table can be sorted by.
var columns = []struct {
	key, title string
	width      int
	number     func(*row) float64 // to sort by; nil: by text
	text       func(*row) string
}{
	{"n", "NAME", 16, nil, func(r *row) string { return plainCell(cmp.Or(r.Server.Name, r.Server.ID)) }},
	{"o", "NODE", 8, nil, func(r *row) string { return plainCell(r.Server.Node) }},
	{"t", "STATE", 8, nil, func(r *row) string { return stateText(&r.ServerSnapshot) }},
	{"c", "CPU%", 5, func(r *row) float64 { return r.Stats.CPUAbsolute }, func(r *row) string { return fmt.Sprintf("%.*f", decimals(r.Stats.CPUAbsolute), r.Stats.CPUAbsolute) }},
	{"m", "MEM", 5, func(r *row) float64 { return float64(r.Stats.MemoryBytes) }, func(r *row) string { return bytesText(float64(r.Stats.MemoryBytes)) }},
	{"w", "NET/s", 5, func(r *row) float64 { return r.network }, func(r *row) string { return bytesText(r.network) }},
	{"u", "UP", 4, func(r *row) float64 { return r.Stats.Uptime.Seconds() }, func(r *row) string { return durationText(r.Stats.Uptime) }},
	{"l", "LINES/s", 7, func(r *row) float64 { return r.lines }, func(r *row) string { return fmt.Sprintf("%.*f", decimals(r.lines), r.lines) }},
}

const textColumns = 3 // of them, the first

func decimals(v float64) int {
	if v < 100 {
		return 1
	}
	return 0
}

// compare compares two rows by the column.
func (c column) compare(a, b *row) int {
	if number := columns[c].number; number != nil {
		return cmp.Compare(number(a), number(b))
	}
	text := columns[c].text
	return cmp.Compare(strings.ToLower(text(a)), strings.ToLower(text(b)))
}

// stateText is how a server is, in eight columns.
func stateText(s *pterosocket.ServerSnapshot) string {
	switch {
	case s.Server.Suspended:
		return "suspend."
	case s.Server.Installing:
		return "install."
	case s.Server.Transferring:
		return "transfer"
	case s.Connected:
		return plainCell(cmp.Or(string(s.State), "?"))
	case s.Err != nil:
		return "lost"
	}
	return "waiting"
}

// wrong says what is the matter with a server; "" if nothing is.
func wrong(s *pterosocket.ServerSnapshot, now time.Time) string {
	switch {
	case s.Connected:
		return ""
	case unavailable(s.Server):
		return strings.TrimPrefix(statusOf(s.Server), ", ")
	case s.Err != nil && s.NextAttempt.After(now):
		return fmt.Sprintf("again in %v: %s", s.NextAttempt.Sub(now).Round(time.Second), plainCell(s.Err.Error()))
	case s.Err != nil:
		return plainCell(s.Err.Error())
	}
	return "waits for its turn to be connected"
}

// View draws the screen.
func (m *topModel) View() tea.View {
	var lines []string
	switch {
	case m.console != nil:
		lines = m.consoleLines()
	case m.helping:
		lines = strings.Split(topHelp, "\n")
	default:
		lines = m.tableLines()
	}
	for i, line := range lines[:min(len(lines), max(0, m.height))] {
		lines[i] = xansi.Truncate(line, max(0, m.width), "")
	}
	v := tea.NewView(strings.Join(lines[:min(len(lines), max(0, m.height))], "\n"))
	v.AltScreen = true
	return v
}

// plainCell makes of what others have written a text for one line of the table, which does not turn the writing of its
// neighbours round.
func plainCell(text string) string {
	return strings.ReplaceAll(ansi.Colours(ansi.Plain(text)), "\t", " ")
}

// ellipsis ends a text that is cut. It is ASCII, for any locale.
const ellipsis = "~"

// newField returns a field for so many characters. Its cursor does not blink, which would send something all the time.
func newField(prompt string, limit int) textinput.Model {
	field := textinput.New()
	field.Prompt, field.CharLimit = prompt, limit
	styles := field.Styles()
	styles.Cursor.Blink = false
	field.SetStyles(styles)
	return field
}

// fieldLine draws what is typed, with the place of the cursor on the screen.
func fieldLine(field *textinput.Model, width int) string {
	field.SetWidth(max(1, width-len(field.Prompt)-1))
	field.SetCursor(field.Position()) // it scrolls only when the cursor is set
	return field.View()
}

// pad makes a text exactly so wide.
func pad(text string, width int, right bool) string {
	if width <= 0 {
		return ""
	}
	text = xansi.Truncate(text, width, ellipsis)
	space := strings.Repeat(" ", max(0, width-xansi.StringWidth(text)))
	if right {
		return space + text
	}
	return text + space
}

// widths returns how wide the columns are, and the graph behind them.
func (m *topModel) widths() (w []int, graph int) {
	spare := m.width - 1 // the marker
	for _, c := range columns {
		w = append(w, c.width)
		spare -= c.width + 1
	}
	if extra := min(max(0, spare-16), 24); extra > 0 { // longer names, then a longer graph
		w[0] += extra * 2 / 3
		w[1] += extra - extra*2/3
		spare -= extra
	}
	return w, min(max(0, spare), 60)
}

func (m *topModel) tableLines() (lines []string) {
	w, graph := m.widths()
	lines = append(lines, m.summary())
	heading := " "
	for i, c := range columns {
		title := c.title
		if m.sortBy == column(i) {
			title = c.title + map[bool]string{false: "^", true: "v"}[m.descending]
		}
		heading += pad(title, w[i], i >= textColumns) + " "
	}
	if graph >= 3 {
		heading += pad("LAST MINUTES", graph, false)
	}
	lines = append(lines, inverse.Render(pad(heading, m.width, false)))
	now := m.now()
	for i := m.first; i < min(len(m.rows), m.first+m.page()); i++ {
		lines = append(lines, m.rowLine(&m.rows[i], w, graph, now))
	}
	if len(m.rows) == 0 {
		text := " no servers"
		if m.filter.Value() != "" {
			text = " no server matches; Esc shows all"
		}
		lines = append(lines, text)
	}
	for len(lines) < m.height-1 {
		lines = append(lines, "")
	}
	return append(lines[:min(len(lines), max(0, m.height-1))], m.footer())
}

func (m *topModel) rowLine(r *row, w []int, graph int, now time.Time) string {
	selected := r.Server.ID == m.selected
	marker := " "
	if selected {
		marker = ">"
	}
	line := marker + pad(columns[0].text(r), w[0], false) + " " + pad(columns[1].text(r), w[1], false) + " "
	state := pad(columns[2].text(r), w[2], false)
	if !selected {
		state = stateStyle(&r.ServerSnapshot).Render(state)
	}
	line += state + " "
	if text := wrong(&r.ServerSnapshot, now); text != "" {
		line += pad(text, m.width-xansi.StringWidth(line), false)
	} else {
		for i := textColumns; i < len(columns); i++ {
			text := columns[i].text(r)
			if r.Stats == (pterosocket.Stats{}) && i < len(columns)-1 {
				text = "-"
			}
			line += pad(text, w[i], true) + " "
		}
		const each = 10 // seconds a column
		line += sparkline(m.glyphs, m.board.cpu(r.Server.ID, graph*each), graph, each, 0)
	}
	if selected {
		return inverse.Render(pad(line, m.width, false))
	}
	return line
}

func stateStyle(s *pterosocket.ServerSnapshot) lipgloss.Style {
	switch {
	case !s.Connected && s.Err != nil:
		return red
	case s.State == pterosocket.StateRunning:
		return green
	case s.State == pterosocket.StateStarting, s.State == pterosocket.StateStopping:
		return yellow
	}
	return faint
}

// summary is the first line: how many servers there are, and how far they are.
func (m *topModel) summary() string {
	text := bold.Render(fmt.Sprintf(" %d servers", m.all))
	if len(m.rows) != m.all {
		text += fmt.Sprintf(", %d shown", len(m.rows))
	}
	text += fmt.Sprintf(", %d connected", m.connected)
	if m.budget.Surplus > 0 {
		text += red.Render(fmt.Sprintf(", %d over the panel's limit", m.budget.Surplus))
	}
	if m.waiting > 0 {
		const width = 12
		full := width * (m.all - m.waiting) / max(1, m.all)
		glyph := string(m.glyphs[len(m.glyphs)-1])
		text += "  [" + strings.Repeat(glyph, full) + strings.Repeat(" ", width-full) + fmt.Sprintf("] %d to go, %d a minute", m.waiting, m.budget.RequestsPerMinute)
	}
	return text
}

// footer is the last line: a question, the filter, a note, or the keys.
func (m *topModel) footer() string {
	switch {
	case m.asking != nil:
		text := fmt.Sprintf(" %s %q? y: yes, any other key: no", m.asking.action, m.asking.name)
		return inverse.Render(pad(text, m.width, false))
	case m.filtering:
		return fieldLine(&m.filter, m.width)
	case m.note != "":
		return " " + m.note
	}
	text := " Enter console  / filter  S start  T stop  R restart  K kill  ? help  q quit"
	if f := m.filter.Value(); f != "" {
		text = " /" + f + "  Esc shows all " + text
	}
	return faint.Render(text)
}

const topHelp = ` pteroconsole top

 Up Down PgUp PgDn Home End   select a server
 Enter                        its console; Esc comes back
 S T R K                      start, stop, restart, kill it; asks first
 n o t                        sort by name, node, state
 c m w u l                    sort by CPU, memory, network, uptime, lines a second
                              the same key again turns the order round
 /                            show only servers with this text in name, node, state
 Esc                          show all
 q                            quit

 CPU% is of one core. NET/s is sent and received. The graph has ten seconds a column.
 A server that is not connected has the reason in its row.

 Any key goes back.`

// consoleLines draws the console of one server.
func (m *topModel) consoleLines() (lines []string) {
	c := m.console
	title := " " + c.server
	for i := range m.rows {
		if r := &m.rows[i]; r.Server.ID == c.server {
			title = fmt.Sprintf(" %s  %s  cpu %.1f%%  mem %s  %s", columns[0].text(r), stateText(&r.ServerSnapshot), r.Stats.CPUAbsolute,
				bytesText(float64(r.Stats.MemoryBytes)), wrong(&r.ServerSnapshot, m.now()))
		}
	}
	hint := "Esc: all servers  PgUp PgDn: scroll "
	if c.back > 0 {
		hint = fmt.Sprintf("%d lines back, PgDn: forward ", c.back)
	}
	title = pad(title, m.width-len(hint)-1, false) + " " + hint
	lines = append(lines, inverse.Render(pad(title, m.width, false)))
	lines = append(lines, c.view(m.width, max(0, m.height-2))...)
	return append(lines, fieldLine(&c.input, m.width))
}
