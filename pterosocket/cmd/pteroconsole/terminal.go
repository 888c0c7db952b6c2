package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/pterosocket/pterosocket-go/internal/ansi"
	"github.com/pterosocket/pterosocket-go/pterosocket"
)

// terminal is a view for a person: output scrolls above the line that is being typed, and the title tells how the
// server is.
type terminal struct {
	*term.Terminal
	recorder
	out    io.Writer // beside the Terminal, for the title
	server string
	stats  pterosocket.Stats
	state  pterosocket.State
}

// newTerminal puts the terminal into raw mode until restore is called.
func newTerminal(in, out *os.File, server string, glyphs []rune) (t *terminal, restore func(), err error) {
	fd := int(in.Fd())
	old, err := term.MakeRaw(fd)
	if err != nil {
		return nil, nil, fmt.Errorf("preparing the terminal: %w", err)
	}
	t = attach(struct {
		io.Reader
		io.Writer
	}{in, out}, server)
	t.glyphs = glyphs
	stopResizing := watchSize(func() {
		if width, height, err := term.GetSize(int(out.Fd())); err == nil && width > 0 {
			_ = t.SetSize(width, height)
		}
	})
	return t, func() {
		stopResizing()
		_ = term.Restore(fd, old)
		_, _ = io.WriteString(out, title("")+"\r\n")
	}, nil
}

// attach makes a terminal of what is in raw mode already.
func attach(rw io.ReadWriter, server string) *terminal {
	t := &terminal{Terminal: term.NewTerminal(rw, "> "), recorder: recorder{glyphs: blocks}, out: rw, server: server}
	t.AutoCompleteCallback = t.onKey
	return t
}

// onKey completes what stands before the cursor when key is Tab, and shows the ways if there are several.
func (t *terminal) onKey(line string, pos int, key rune) (newLine string, newPos int, ok bool) {
	if key != '\t' {
		return "", 0, false
	}
	completed, ways := t.complete(line[:pos])
	if completed == line[:pos] && len(ways) > 1 {
		t.note(strings.Join(ways[:min(len(ways), 40)], "  "))
	}
	return completed + line[pos:], len(completed), true
}

// show is called by one goroutine only.
func (t *terminal) show(ev pterosocket.Event) error {
	t.record(ev)
	switch ev := ev.(type) {
	case pterosocket.ConsoleOutput:
		_, err := io.WriteString(t, ansi.Colours(ev.Line)+"\n")
		return err
	case pterosocket.Stats:
		t.stats, t.state = ev, ev.State
	case pterosocket.Status:
		t.state = ev.State
	}
	switch ev.(type) {
	case pterosocket.Stats, pterosocket.Status:
		_, _ = io.WriteString(t.out, title(t.summary()))
	}
	if text := describe(ev); text != "" {
		t.note(text)
	}
	return nil
}

func (t *terminal) note(text string) {
	_, _ = io.WriteString(t, "\x1b[36m* "+ansi.Plain(text)+"\x1b[0m\n")
}

// summary is the title bar: name | cpu 3.3% | mem 47% | running.
func (t *terminal) summary() string {
	memory := fmt.Sprintf("%d MiB", t.stats.MemoryBytes>>20)
	if t.stats.MemoryLimitBytes > 0 {
		memory = fmt.Sprintf("%d%%", t.stats.MemoryBytes*100/t.stats.MemoryLimitBytes)
	}
	return fmt.Sprintf("%s | cpu %.1f%% | mem %s | %s", t.server, t.stats.CPUAbsolute, memory, t.state)
}

// title returns what sets a terminal's title.
func title(text string) string { return "\x1b]0;" + ansi.Plain(text) + "\x07" }

// readCommands sends what is typed, until Ctrl-C, Ctrl-D or :quit. A line that waits for the connection does not keep
// those from being heard; what is still to be sent then has a second.
func (t *terminal) readCommands(quit context.Context, cancel context.CancelFunc, commands *pterosocket.Commands) {
	defer cancel()
	t.note("connected; :help lists the console's own commands, Ctrl-C ends it")
	lines, sent := make(chan string, 100), make(chan struct{})
	go func() {
		defer close(sent)
		for line := range lines {
			if err := execute(quit, cancel, line, commands, t); err != nil {
				t.note(err.Error())
			}
		}
	}()
	for quit.Err() == nil {
		line, err := t.ReadLine()
		if err != nil && !errors.Is(err, term.ErrPasteIndicator) || isQuit(line) {
			break
		}
		select {
		case lines <- line:
		default:
			t.note(fmt.Sprintf("%q was not sent: too many lines wait", line))
		}
	}
	close(lines)
	timer := time.NewTimer(answerFor)
	defer timer.Stop()
	select {
	case <-sent:
	case <-timer.C:
	case <-quit.Done():
	}
}
