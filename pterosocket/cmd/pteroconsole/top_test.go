package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	tea "charm.land/bubbletea/v2"
	xansi "github.com/charmbracelet/x/ansi"

	"github.com/pterosocket/pterosocket-go/pterosocket"
	"github.com/pterosocket/pterosocket-go/pterosocket/pterotest"
)

// scene is what a topModel watches in a test.
type scene struct {
	servers []pterosocket.ServerSnapshot
	budget  pterosocket.FleetBudget
	asked   []string
	looked  int // how often all servers were looked at
}

func (s *scene) Snapshot() []pterosocket.ServerSnapshot {
	s.looked++
	return s.servers
}
func (s *scene) Budget() pterosocket.FleetBudget { return s.budget }
func (s *scene) Commands(server string) (*pterosocket.Commands, error) {
	s.asked = append(s.asked, server)
	return nil, errors.New("nobody is there")
}

// connected is a server that runs.
func connected(id, name, node string, cpu float64) pterosocket.ServerSnapshot {
	return pterosocket.ServerSnapshot{
		Server: pterosocket.Server{ID: id, Name: name, Node: node}, Connected: true, Since: time.Unix(1, 0), State: pterosocket.StateRunning,
		Stats: pterosocket.Stats{CPUAbsolute: cpu, MemoryBytes: uint64(cpu * (1 << 20)), Uptime: time.Hour, State: pterosocket.StateRunning},
	}
}

func sceneModel(s *scene) *topModel {
	m := newTopModel(context.Background(), s, newBoard(), blocks)
	m.now = func() time.Time { return time.Unix(1000, 0) }
	return m
}

// press types keys, and carries out what they ask for.
func press(t *testing.T, m *topModel, keys ...string) {
	t.Helper()
	special := map[string]rune{"enter": tea.KeyEnter, "esc": tea.KeyEscape, "up": tea.KeyUp, "down": tea.KeyDown, "pgup": tea.KeyPgUp,
		"pgdown": tea.KeyPgDown, "home": tea.KeyHome, "end": tea.KeyEnd, "tab": tea.KeyTab, "backspace": tea.KeyBackspace}
	for _, key := range keys {
		k := tea.Key{Code: special[key]}
		if k.Code == 0 {
			k = tea.Key{Code: []rune(key)[0], Text: key}
		}
		if _, cmd := m.Update(tea.KeyPressMsg(k)); cmd != nil {
			switch msg := cmd().(type) {
			case told, sent:
				m.Update(msg)
			}
		}
	}
}

// screen returns what is shown, without colours.
func screen(m *topModel) string { return xansi.Strip(m.View().Content) }

func wantScreen(t *testing.T, m *topModel, parts ...string) {
	t.Helper()
	shown := screen(m)
	for _, part := range parts {
		if !strings.Contains(shown, part) {
			t.Errorf("no %q on\n%s", part, shown)
		}
	}
}

// order returns the servers' IDs as they are shown.
func order(m *topModel) string {
	var ids []string
	for _, r := range m.rows {
		ids = append(ids, r.Server.ID)
	}
	return strings.Join(ids, " ")
}

// Each server has a row that tells how it is, or what is wrong with it.
func TestTopRows(t *testing.T) {
	offline := connected("b", "beta", "n2", 0)
	offline.State = pterosocket.StateOffline
	s := &scene{servers: []pterosocket.ServerSnapshot{
		connected("a", "alpha", "n1", 12.5), offline,
		{Server: pterosocket.Server{ID: "c", Name: "gamma", Suspended: true}},
		{Server: pterosocket.Server{ID: "d", Name: "delta\x1b[2J\n"}, Since: time.Unix(1, 0), Err: errors.New("the daemon closed\x07 the connection"), NextAttempt: time.Unix(1003, 0)},
		{Server: pterosocket.Server{ID: "e", Name: "epsilon"}},
		{Server: pterosocket.Server{ID: "f", Name: ""}, Since: time.Unix(1, 0), Err: errors.New("ended for good")},
	}, budget: pterosocket.FleetBudget{RequestsPerMinute: 180, Surplus: 2}}
	m := sceneModel(s)
	m.look()
	wantScreen(t, m, "6 servers, 2 connected, 2 over the panel's limit", "] 1 to go, 180 a",
		"alpha            n1       running   12.5   12M", "beta             n2       offline      -     -     -    -     0.0",
		"gamma                     suspend. suspended", "delta                     lost     again in 3s: the daemon closed the connecti~",
		"epsilon                   waiting  waits for its turn", "f                         lost     ended for good")
	if shown := m.View().Content; strings.ContainsAny(shown, "\a") || strings.Contains(shown, "\x1b[2J") {
		t.Errorf("%q", shown)
	}
}

func TestTopSortsAndFilters(t *testing.T) {
	s := &scene{servers: []pterosocket.ServerSnapshot{
		connected("a", "Zeta", "n1", 1), connected("b", "alpha", "n2", 30), connected("c", "mid", "n1", 7),
	}}
	m := sceneModel(s)
	for _, test := range []struct{ keys, want string }{
		{"", "b c a"}, {"c", "b c a"}, {"c", "a c b"}, {"n", "b c a"}, {"n", "a c b"}, {"o", "c a b"}, {"m", "b c a"}, {"t", "b c a"}, {"x", "b c a"},
	} {
		if test.keys != "" {
			press(t, m, test.keys)
		}
		if got := order(m); got != test.want {
			t.Errorf("behind %q: %s, not %s", test.keys, got, test.want)
		}
	}
	press(t, m, "/", "N", "1")
	if got := order(m); got != "c a" {
		t.Errorf("filtered: %s", got)
	}
	wantScreen(t, m, "2 shown")
	press(t, m, "enter", "down", "down", "down")
	if m.selected != "a" {
		t.Errorf("%s is selected", m.selected)
	}
	press(t, m, "/", "x")
	wantScreen(t, m, "no server matches")
	press(t, m, "enter", "enter", "S", "down", "home") // nothing to act on
	press(t, m, "esc")
	if got := order(m); got != "b c a" || len(s.asked) > 0 {
		t.Errorf("not filtered any more: %s; asked %v", got, s.asked)
	}
	// The selection follows the server, not the place.
	m.selected = "c"
	s.servers[2].Stats.CPUAbsolute = 99
	press(t, m, "c")
	if m.selected != "c" || order(m) != "c b a" {
		t.Errorf("%s is selected of %s", m.selected, order(m))
	}
}

// A power action needs a yes, and goes to the server that the question named, whatever is selected meanwhile.
func TestTopAsksBeforeItActs(t *testing.T) {
	s := &scene{servers: []pterosocket.ServerSnapshot{connected("a", "alpha", "n", 1), connected("b", "beta", "n", 2)}}
	m := sceneModel(s)
	press(t, m, "K")
	wantScreen(t, m, `kill "alpha"? y: yes`)
	press(t, m, "n")
	wantScreen(t, m, "nothing was done")
	press(t, m, "down", "R")
	wantScreen(t, m, `restart "beta"?`)
	s.servers = s.servers[:1] // it has gone, and another row is selected
	m.Update(refresh{})
	press(t, m, "y")
	wantScreen(t, m, "beta: no restart: nobody is there")
	if fmt.Sprint(s.asked) != "[b]" {
		t.Errorf("asked %v", s.asked)
	}
	m.Update(tea.PasteMsg{Content: "Ky"}) // a paste is no key
	if len(s.asked) != 1 || m.asking != nil {
		t.Error("a paste acts")
	}
}

// Whatever the size, no line is too long, and there are never too many.
func TestTopFitsTheScreen(t *testing.T) {
	s := &scene{}
	for i := range 500 {
		s.servers = append(s.servers, connected(fmt.Sprint("id", i), fmt.Sprintf("日本語 server %d", i), "node", float64(i)))
	}
	m := sceneModel(s)
	m.board.record(pterosocket.FleetEvent{Server: "id0", Event: pterosocket.ConsoleOutput{Line: strings.Repeat("long ", 500)}})
	for _, size := range [][2]int{{80, 24}, {200, 60}, {20, 5}, {1, 1}, {3, 2}, {0, 0}, {80, 3}} {
		for _, keys := range [][]string{nil, {"end"}, {"pgup"}, {"home"}, {"/", "9"}, {"esc"}, {"?"}, {"x"}, {"R"}, {"n"}, {"enter"}, {"pgup"}, {"esc"}} {
			m.Update(tea.WindowSizeMsg{Width: size[0], Height: size[1]})
			press(t, m, keys...)
			lines := strings.Split(m.View().Content, "\n")
			if len(lines) > max(1, size[1]) {
				t.Errorf("%v %v: %d lines", size, keys, len(lines))
			}
			for _, line := range lines {
				if n := xansi.StringWidth(line); n > size[0] {
					t.Errorf("%v %v: %d columns: %q", size, keys, n, xansi.Strip(line))
				}
			}
		}
		if shown := screen(m); size[1] > 5 && !strings.Contains(shown, ">日本語 server") {
			t.Errorf("%v: the selected row is not on\n%s", size, shown)
		}
	}
}

// The console of a server shows what came before it was opened, and stays where it has been scrolled to.
func TestTopConsole(t *testing.T) {
	s := &scene{servers: []pterosocket.ServerSnapshot{connected("a", "alpha", "n", 1)}}
	m := sceneModel(s)
	print := func(from, to int) {
		for i := from; i < to; i++ {
			m.board.record(pterosocket.FleetEvent{Server: "a", Event: pterosocket.ConsoleOutput{Line: fmt.Sprintf("\x1b[31mline %d\x1b[2J", i)}})
		}
	}
	print(0, 5000)
	press(t, m, "enter")
	wantScreen(t, m, " alpha  running  cpu 1.0%", "line 4978\n", "line 4999\n")
	press(t, m, "pgup")
	wantScreen(t, m, "21 lines back", "line 4978\n")
	print(5000, 5050)
	m.Update(refresh{})
	wantScreen(t, m, "71 lines back", "line 4957\n", "line 4978\n")
	press(t, m, "pgdown")
	wantScreen(t, m, "50 lines back", "line 4978\n", "line 4999\n")
	press(t, m, "pgup")
	print(0, 5000) // a flood does not carry away what is read
	print(5000, 5050)
	m.Update(refresh{})
	wantScreen(t, m, "71 lines back", "line 4957\n", "line 4978\n")
	for range 20 {
		press(t, m, "pgup")
	}
	wantScreen(t, m, "line 4750\n", "line 4771\n")
	press(t, m, "l", "i", "s", "t", "enter") // what follows is shown
	if fmt.Sprint(s.asked) != "[a]" {
		t.Errorf("asked %v", s.asked)
	}
	wantScreen(t, m, "line 5049\n", "* nobody is there")
	press(t, m, "up")
	wantScreen(t, m, "> list")
	press(t, m, "down")
	m.Update(tea.PasteMsg{Content: "say a\nstop\x1b[2J"})
	wantScreen(t, m, "> say a stop")
	if len(s.asked) != 1 {
		t.Error("a pasted line break sends")
	}
	press(t, m, "esc")
	wantScreen(t, m, "1 servers")
	if n := len(m.board.servers["a"].lines); n > 2*boardLines {
		t.Errorf("%d lines are kept", n)
	}
}

// What is typed ahead reaches the server in its order, though each line may have to wait.
func TestTopSendsInOrder(t *testing.T) {
	s := &scene{servers: []pterosocket.ServerSnapshot{connected("a", "alpha", "n", 1)}}
	m := sceneModel(s)
	press(t, m, "enter")
	enter := func(line string) tea.Cmd {
		m.console.input.SetValue(line)
		_, cmd := m.Update(tea.KeyPressMsg(tea.Key{Code: tea.KeyEnter}))
		return cmd
	}
	first := enter("one")
	if enter("two") != nil || enter("three") != nil {
		t.Fatal("a line overtakes")
	}
	for n := 1; first != nil; n++ {
		msg := first()
		if len(s.asked) != n {
			t.Errorf("asked %v", s.asked)
		}
		_, first = m.Update(msg)
	}
	if len(s.asked) != 3 {
		t.Errorf("asked %v", s.asked)
	}
}

// A line that finds no connection is told not to have been sent.
func TestTopNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := pterotest.NewServer(pterotest.Config{InMemory: true})
		defer srv.Close()
		events, fleet, err := pterosocket.ConnectFleet(t.Context(), pterosocket.FleetConfig{
			Config: pterosocket.Config{Origin: srv.Origin(), APIKey: srv.APIKey(), HTTPClient: srv.Client()}})
		if err != nil {
			t.Fatal(err)
		}
		b := newBoard()
		var recording sync.WaitGroup
		recording.Go(func() {
			for ev := range events {
				b.record(ev)
			}
		})
		defer recording.Wait()
		defer fleet.Close()
		srv.SetDown(true)
		synctest.Wait()
		m := newTopModel(t.Context(), fleet, b, blocks)
		press(t, m, "enter", "l", "i", "s", "t", "enter")
		wantScreen(t, m, `* "list" was not sent: not connected`)
	})
}

// While a console is open it is drawn often, but the whole table is not computed as often.
func TestTopConsoleCostsLittle(t *testing.T) {
	s := &scene{servers: []pterosocket.ServerSnapshot{connected("a", "alpha", "n", 1)}}
	m := sceneModel(s)
	press(t, m, "enter")
	before := s.looked
	for range 50 {
		m.Update(refresh{})
	}
	if n := s.looked - before; n != 10 {
		t.Errorf("looked %d times in five seconds", n)
	}
}

// Of a long line only what is kept stays in memory.
func TestBoardForgetsLongLines(t *testing.T) {
	b := newBoard()
	heap := func() int {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	before := heap()
	for i := range 2 * boardLines {
		line := fmt.Sprintf("Bot%d joined the game%s", i, strings.Repeat("x", 64<<10))
		b.record(pterosocket.FleetEvent{Server: "a", Event: pterosocket.ConsoleOutput{Line: line}})
	}
	if grown := heap() - before; grown > 4<<20 {
		t.Errorf("%d MiB for %d lines", grown>>20, 2*boardLines)
	}
	lines, _ := b.console("a")
	if last := lines[len(lines)-1]; len(last) > 2*boardLine || !strings.HasSuffix(last, "x (cut)") {
		t.Errorf("%q", last)
	}
}

// However long a name is, the question behind it can be read, and so can what is typed.
func TestTopLongTexts(t *testing.T) {
	s := &scene{servers: []pterosocket.ServerSnapshot{connected("a", strings.Repeat("long name ", 20)+"\u202e", "n", 1)}}
	m := newTopModel(context.Background(), s, newBoard(), plain)
	for _, key := range []string{"K", "esc", "K"} {
		shown := screen(m)
		if i := strings.IndexFunc(shown, func(r rune) bool { return r >= 0x7f }); i >= 0 {
			t.Errorf("not ASCII: %q", shown[i:])
		}
		press(t, m, key)
	}
	wantScreen(t, m, "y: yes, any other key: no")
	press(t, m, "y")
	wantScreen(t, m, "~: no kill: nobody is there")
	m.Update(tea.WindowSizeMsg{Width: 20, Height: 8})
	press(t, m, "/")
	press(t, m, strings.Split("abcdefghijklmnopqrstuvwxyz", "")...)
	wantScreen(t, m, "xyz")
	s.servers[0].Server.Name = "\u202ereversed"
	press(t, m, "esc")
	if shown := screen(m); strings.Contains(shown, "\u202e") {
		t.Errorf("%q turns its row round", shown)
	}
}

// What a daemon refuses, and a name that the panel does not know, is told below the table.
func TestTopTellsWhatFails(t *testing.T) {
	m := sceneModel(&scene{servers: []pterosocket.ServerSnapshot{connected("a", "alpha", "n", 1)}})
	unknown := pterosocket.ServerRemoved{Server: pterosocket.Server{ID: "nope"}, Err: errors.New("unknown")}
	for _, test := range []struct {
		server string
		event  pterosocket.Event
		want   string
	}{
		{"a", pterosocket.DaemonError{Message: "Error Event [1b2c]: already\tstopping"}, " a daemon: already stopping"},
		{"nope", unknown, " nope is out: unknown"},
	} {
		for range 2 { // also when it happens again
			m.board.record(pterosocket.FleetEvent{Server: test.server, Event: test.event})
			m.Update(refresh{})
			wantScreen(t, m, test.want)
			press(t, m, "down")
			wantScreen(t, m, "Enter console")
		}
	}
}

// Scrolling passes every line, also when some take several rows.
func TestTopConsoleScrollsByWhatIsShown(t *testing.T) {
	m := sceneModel(&scene{servers: []pterosocket.ServerSnapshot{connected("a", "alpha", "n", 1)}})
	for i := range 40 {
		line := fmt.Sprintf("<%d>%s", i, strings.Repeat("x", i%7*150))
		m.board.record(pterosocket.FleetEvent{Server: "a", Event: pterosocket.ConsoleOutput{Line: line}})
	}
	press(t, m, "enter")
	for _, key := range []string{"pgup", "pgdown"} {
		seen := make(map[string]bool)
		for range 40 {
			for _, name := range regexp.MustCompile(`<\d+>`).FindAllString(screen(m), -1) {
				seen[name] = true
			}
			press(t, m, key)
		}
		if len(seen) != 40 {
			t.Errorf("%s: %d lines were seen", key, len(seen))
		}
	}
	if m.console.back != 0 {
		t.Errorf("%d lines back", m.console.back)
	}
}

// A server that is gone uses nothing, whatever it used last; and the filter finds the state that is shown.
func TestTopOfServersThatAreGone(t *testing.T) {
	offline, lost := connected("b", "beta", "n2", 50), connected("c", "gamma", "n2", 99)
	offline.State = pterosocket.StateOffline
	lost.Connected, lost.State, lost.Err = false, "", errors.New("gone")
	m := sceneModel(&scene{servers: []pterosocket.ServerSnapshot{connected("a", "alpha", "n1", 1), offline, lost}})
	press(t, m, "c")
	if got := order(m); got != "a b c" {
		t.Errorf("by processor: %s", got)
	}
	press(t, m, "/", "l", "o", "s", "t")
	if got := order(m); got != "c" {
		t.Errorf("lost: %q", got)
	}
}
