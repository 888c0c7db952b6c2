package main

import (
	"slices"
	"strings"

	"charm.land/bubbles/v2/textinput"
	tea "charm.land/bubbletea/v2"
	xansi "github.com/charmbracelet/x/ansi"
)

// A consolePane shows the console of one server within top.
type consolePane struct {
	board  *board
	server string
	input  textinput.Model
	lines  []string
	count  uint64
	back   int      // how many lines above the newest the screen ends; 0: it follows
	past   []string // what was typed, the newest last
	at     int      // which of them is shown; len(past): none

	width, height int // of the lines on the screen
}

func newConsolePane(b *board, server string) *consolePane {
	return &consolePane{board: b, server: server, input: newField("> ", 4096)}
}

// look fetches the lines. A pane that does not follow stays where it is while others come; once what it shows is about
// to be forgotten, it keeps the lines that it has.
func (c *consolePane) look() {
	lines, count := c.board.console(c.server)
	if c.back > 0 {
		back := c.back + int(min(count-min(count, c.count), boardLines))
		if back+c.height > len(lines) {
			return
		}
		c.back = back
	}
	c.lines, c.count = lines, count
}

// page scrolls by a screen, back or forward. The line at the edge is seen twice.
func (c *consolePane) page(direction int) {
	bottom := len(c.lines) - 1 - c.back
	next := c.reach(bottom, direction)
	if next == bottom { // it alone fills the screen
		next += direction
	}
	if direction < 0 { // not so far that the screen is not full
		next = min(bottom, max(next, c.reach(0, 1)))
	}
	c.back = max(0, len(c.lines)-1-next)
}

// reach returns the last line that is still on the screen with those between it and another.
func (c *consolePane) reach(from, direction int) int {
	last, rows := from, 0
	for i := from; i >= 0 && i < len(c.lines); i += direction {
		if rows += len(wrap(c.lines[i], c.width)); rows > c.height {
			break
		}
		last = i
	}
	return last
}

// update hands what is typed or pasted to the input. Up and down go through what was typed before.
func (c *consolePane) update(msg tea.Msg) tea.Cmd {
	if key, ok := msg.(tea.KeyPressMsg); ok {
		switch key.String() {
		case "up":
			c.recall(c.at - 1)
			return nil
		case "down":
			c.recall(c.at + 1)
			return nil
		}
	}
	var cmd tea.Cmd
	c.input, cmd = c.input.Update(msg)
	return cmd
}

func (c *consolePane) recall(at int) {
	if at < 0 || at > len(c.past) {
		return
	}
	c.at = at
	text := ""
	if at < len(c.past) {
		text = c.past[at]
	}
	c.input.SetValue(text)
	c.input.CursorEnd()
}

// take returns what was typed and empties the input. What follows is shown as it comes.
func (c *consolePane) take() string {
	line := c.input.Value()
	c.input.Reset()
	if line != "" {
		c.past = append(c.past[max(0, len(c.past)-100):], line)
	}
	c.at, c.back = len(c.past), 0
	return line
}

// complete completes what stands before the cursor.
func (c *consolePane) complete() {
	runes := []rune(c.input.Value())
	pos := min(c.input.Position(), len(runes))
	before, behind := string(runes[:pos]), string(runes[pos:])
	completed, ways := c.board.complete(c.server, before)
	if completed == before && len(ways) > 1 {
		c.board.note(c.server, strings.Join(ways[:min(len(ways), 40)], "  "))
		c.look()
	}
	c.input.SetValue(completed + behind)
	c.input.SetCursor(len([]rune(completed)))
}

// wrap cuts a line into rows.
func wrap(line string, width int) []string {
	return strings.Split(xansi.Hardwrap(line, max(1, width), true), "\n")
}

// view returns the last lines that fit into a space, with long ones wrapped.
func (c *consolePane) view(width, height int) []string {
	c.width, c.height = width, height
	var shown []string
	for i := len(c.lines) - 1 - c.back; i >= 0 && len(shown) < height; i-- {
		for _, part := range slices.Backward(wrap(c.lines[i], width)) {
			shown = append(shown, part+"\x1b[0m")
		}
	}
	shown = shown[:min(len(shown), max(0, height))]
	for len(shown) < height {
		shown = append(shown, "")
	}
	slices.Reverse(shown)
	return shown
}
