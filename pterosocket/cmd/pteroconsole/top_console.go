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
}

func newConsolePane(b *board, server string) *consolePane {
	return &consolePane{board: b, server: server, input: newField("> ", 4096)}
}

// look fetches the lines. A pane that does not follow stays where it is while others come.
func (c *consolePane) look() {
	before := c.count
	c.lines, c.count = c.board.console(c.server)
	if c.back > 0 && c.count > before {
		c.up(int(min(c.count-before, boardLines)))
	}
}

// up scrolls back.
func (c *consolePane) up(n int) { c.back = max(0, min(c.back+n, len(c.lines)-1)) }

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

// view returns the last lines that fit into a space, with long ones wrapped.
func (c *consolePane) view(width, height int) []string {
	var shown []string
	for i := len(c.lines) - 1 - c.back; i >= 0 && len(shown) < height; i-- {
		wrapped := strings.Split(xansi.Hardwrap(c.lines[i], max(1, width), true), "\n")
		for _, part := range slices.Backward(wrapped) {
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
