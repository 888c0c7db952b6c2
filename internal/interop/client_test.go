package interop

import (
	"bufio"
	"encoding/json"
	"io"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/pterosocket/pterosocket-go/pterosocket"
	"github.com/pterosocket/pterosocket-go/pterosocket/pterotest"
)

// event is what a client tells of one event: its name, with underscores, and its text.
type event struct {
	Event string `json:"event"`
	Arg   string `json:"arg"`
}

// A client is one under examination.
type client interface {
	command(line string)
	power(action string)
}

// watch collects the events of a client.
type watch struct {
	mu      sync.Mutex
	events  []event
	changed chan struct{}
}

func newWatch() *watch { return &watch{changed: make(chan struct{})} }

func (w *watch) add(ev event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, ev)
	close(w.changed)
	w.changed = make(chan struct{})
}

// sees waits until the client has told such an event, patience at most. That it has not by then is a finding too.
func (w *watch) sees(match func(event) bool, patience time.Duration) bool {
	timeout := time.After(patience)
	for from := 0; ; {
		w.mu.Lock()
		events, changed := w.events[from:], w.changed
		from = len(w.events)
		w.mu.Unlock()
		for _, ev := range events {
			if match(ev) {
				return true
			}
		}
		select {
		case <-changed:
		case <-timeout:
			return false
		}
	}
}

// crash returns what ended the client's program, if anything did.
func (w *watch) crash() (why string, crashed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, ev := range w.events {
		if ev.Event == "CRASH" {
			return ev.Arg, true
		}
	}
	return "", false
}

func (w *watch) count(match func(event) bool) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, ev := range w.events {
		if match(ev) {
			n++
		}
	}
	return n
}

// nodeClient is one of the npm packages, in a process of its own.
type nodeClient struct {
	t     *testing.T
	stdin io.Writer
}

func startNode(t *testing.T, name string, srv *pterotest.Server, w *watch) client {
	t.Helper()
	cmd := exec.Command("node", "client.cjs", name, srv.Origin(), srv.APIKey(), srv.ServerID())
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			var ev event
			if err := json.Unmarshal(lines.Bytes(), &ev); err != nil {
				ev = event{Event: "CRASH", Arg: lines.Text()}
			}
			w.add(ev)
		}
	}()
	t.Cleanup(func() {
		_ = stdin.Close() // which ends it
		<-done
		_ = cmd.Wait()
	})
	return &nodeClient{t, stdin}
}

func (c *nodeClient) do(what, arg string) {
	if err := json.NewEncoder(c.stdin).Encode(map[string]string{what: arg}); err != nil {
		c.t.Error(err)
	}
}

func (c *nodeClient) command(line string) { c.do("command", line) }
func (c *nodeClient) power(action string) { c.do("power", action) }

// ourClient is the library itself.
type ourClient struct {
	t        *testing.T
	commands *pterosocket.Commands
}

func startOurs(t *testing.T, srv *pterotest.Server, w *watch) client {
	t.Helper()
	events, commands, err := pterosocket.Connect(t.Context(), pterosocket.Config{
		Origin: srv.Origin(), APIKey: srv.APIKey(), Server: srv.ServerID(), HTTPClient: srv.Client(),
	})
	if err != nil {
		w.add(event{Event: "CRASH", Arg: err.Error()})
		return nil
	}
	go func() {
		for ev := range events {
			told := event{Event: ev.Name()}
			switch ev := ev.(type) {
			case pterosocket.ConsoleOutput:
				told.Arg = ev.Line
			case pterosocket.Status:
				told.Arg = string(ev.State)
			}
			w.add(told)
		}
	}()
	t.Cleanup(func() { _ = commands.Close() })
	return &ourClient{t, commands}
}

func (c *ourClient) command(line string) {
	if err := c.commands.WriteCommand(c.t.Context(), line); err != nil {
		c.t.Error(err)
	}
}

func (c *ourClient) power(action string) {
	if err := c.commands.WritePower(c.t.Context(), pterosocket.PowerAction(action)); err != nil {
		c.t.Error(err)
	}
}
