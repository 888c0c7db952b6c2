package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pterosocket/pterosocket-go/pterosocket"
	"github.com/pterosocket/pterosocket-go/pterosocket/pterotest"
)

// isProgram makes the test's binary behave as the program, so that tests can put it on a terminal of its own.
const isProgram = "PTEROCONSOLE_IS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(isProgram) != "" {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

// output is a writer that others can wait on.
type output struct {
	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{}
}

func newOutput() *output { return &output{changed: make(chan struct{}, 1)} }

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n, err := o.text.Write(p)
	select {
	case o.changed <- struct{}{}:
	default:
	}
	return n, err
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// wait waits until the output holds text.
func (o *output) wait(t *testing.T, text string) {
	t.Helper()
	timeout := time.After(time.Minute)
	for !strings.Contains(o.String(), text) {
		select {
		case <-o.changed:
		case <-timeout:
			t.Fatalf("no %q in\n%s", text, o.String())
		}
	}
}

// program is a running pteroconsole.
type program struct {
	stdin          *io.PipeWriter
	stdout, stderr *output
	status         chan int
	interrupt      context.CancelFunc
}

func start(t *testing.T, env map[string]string, args ...string) *program {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	p := &program{stdin: w, stdout: newOutput(), stderr: newOutput(), status: make(chan int, 1), interrupt: cancel}
	go func() {
		p.status <- run(ctx, args, func(name string) string { return env[name] }, r, p.stdout, p.stderr)
		_ = r.Close()
	}()
	t.Cleanup(func() { cancel(); _ = w.Close() })
	return p
}

func panelEnv(srv *pterotest.Server) map[string]string {
	return map[string]string{"PTERO_ORIGIN": srv.Origin(), "PTERO_API_KEY": srv.APIKey(), "PTERO_SERVER": srv.ServerID()}
}

func TestPipe(t *testing.T) {
	srv := pterotest.NewServer(pterotest.Config{})
	defer srv.Close()
	p := start(t, panelEnv(srv))
	io.WriteString(p.stdin, "say \x1b[31mhi\n")
	p.stdout.wait(t, "say hi\n")
	io.WriteString(p.stdin, ":restart\n:nonsense\n")
	p.stdout.wait(t, "Done (0.150s)!")
	p.stderr.wait(t, "unknown: :nonsense")
	p.stderr.wait(t, "the server is running\n")
	srv.Print("\x1b]0;owned\x07visible")
	p.stdout.wait(t, "visible\n")
	io.WriteString(p.stdin, ":quit\n")
	if status := <-p.status; status != 0 || strings.Contains(p.stdout.String(), "\x1b") {
		t.Errorf("status %d\n%q", status, p.stdout.String())
	}
}

func TestInterruptEndsGracefully(t *testing.T) {
	srv := pterotest.NewServer(pterotest.Config{})
	defer srv.Close()
	p := start(t, panelEnv(srv))
	p.stderr.wait(t, "the server is running")
	p.interrupt()
	if status := <-p.status; status != 0 {
		t.Errorf("status %d\n%s", status, p.stderr)
	}
	p.stderr.wait(t, "* closed")
}

func TestJSON(t *testing.T) {
	srv := pterotest.NewServer(pterotest.Config{})
	defer srv.Close()
	p := start(t, panelEnv(srv), "-json", "-history=false")
	p.stdout.wait(t, `"status"`)
	srv.Print("a \"line\"")
	srv.Emit("backup completed", `{"uuid":"u","is_successful":true,"checksum":"c","checksum_type":"sha1","file_size":3}`)
	p.stdout.wait(t, `"backup_completed"`)
	p.interrupt()
	<-p.status
	seen := make(map[string]map[string]any)
	for line := range strings.Lines(p.stdout.String()) {
		var event map[string]any
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if _, err := time.Parse(time.RFC3339Nano, event["time"].(string)); err != nil {
			t.Error(err)
		}
		seen[event["event"].(string)] = event
	}
	if seen["console_output"]["line"] != `a "line"` || seen["backup_completed"]["size"] != 3.0 || seen["close"]["final"] != true || seen["start"]["socket"] == "" {
		t.Errorf("%v", seen)
	}
}

func TestErrorsAreOneClearLine(t *testing.T) {
	srv := pterotest.NewServer(pterotest.Config{})
	defer srv.Close()
	strict := pterotest.NewServer(pterotest.Config{Origin: "https://panel.example.com"})
	defer strict.Close()
	with := func(base map[string]string, name, value string) map[string]string {
		env := map[string]string{name: value}
		for k, v := range base {
			if k != name {
				env[k] = v
			}
		}
		return env
	}
	for name, test := range map[string]struct {
		env    map[string]string
		args   []string
		status int
		says   string
	}{
		"bad key":        {with(panelEnv(srv), "PTERO_API_KEY", "wrong"), nil, 1, "client API key"},
		"unknown server": {with(panelEnv(srv), "PTERO_SERVER", "ffffffff"), nil, 1, "identifier"},
		"refused origin": {panelEnv(strict), nil, 1, strict.Origin()},
		"key missing":    {with(panelEnv(srv), "PTERO_API_KEY", ""), nil, 2, "PTERO_API_KEY"},
		"no such action": {nil, []string{"power", "explode"}, 2, "start|stop|restart|kill"},
		"top as JSON":    {nil, []string{"-json", "top"}, 2, "no JSON"},
		"top of nothing": {nil, []string{"-server", "a,b", "top"}, 2, "missing: -origin"},
		"no such flag":   {nil, []string{"-nonsense"}, 2, "nonsense"},
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t, test.env, test.args...)
			status := <-p.status
			last := p.stderr.String()
			if status != test.status || !strings.Contains(last, test.says) || strings.Contains(last, "ptlc_") {
				t.Errorf("status %d\n%s", status, last)
			}
			if lines := strings.Count(strings.TrimSpace(last), "\n"); test.status == 1 && lines != 0 {
				t.Errorf("%d lines:\n%s", lines+1, last)
			}
		})
	}
}

func TestFinalErrorShowsInTheStatus(t *testing.T) {
	srv := pterotest.NewServer(pterotest.Config{})
	defer srv.Close()
	p := start(t, panelEnv(srv))
	p.stderr.wait(t, "running")
	srv.Delete(false)
	if status := <-p.status; status != 1 {
		t.Errorf("status %d\n%s", status, p.stderr)
	}
	p.stderr.wait(t, "server deleted")
}

func TestSubcommands(t *testing.T) {
	srv := pterotest.NewServer(pterotest.Config{Game: func(string) []string { return []string{"\x1b[32mAlex\x1b[0m", "Steve"} }})
	defer srv.Close()
	srv.Print("old")
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"run", "list"}, "Alex\nSteve\n"},
		{[]string{"logs"}, "old\nAlex\nSteve\n"},
		{[]string{"power", "stop"}, "offline\n"},
		{[]string{"power", "start"}, "running\n"},
	} {
		p := start(t, panelEnv(srv), test.args...)
		if status := <-p.status; status != 0 || p.stdout.String() != test.want {
			t.Errorf("%v: status %d, %q\n%s", test.args, status, p.stdout, p.stderr)
		}
	}
}

// The embedded fake, as make run has it.
func TestDemo(t *testing.T) {
	p := start(t, nil)
	p.stderr.wait(t, "PTERO_ORIGIN=")
	p.stdout.wait(t, "joined the game")
	io.WriteString(p.stdin, "list\n")
	p.stdout.wait(t, "players online")
	io.WriteString(p.stdin, ":quit\n")
	if status := <-p.status; status != 0 {
		t.Errorf("status %d", status)
	}
}

// What is typed stays intact while output scrolls, and the title tells how the server is.
func TestTerminal(t *testing.T) {
	keys, typed := io.Pipe()
	defer typed.Close()
	screen := newOutput()
	term := attach(struct {
		io.Reader
		io.Writer
	}{keys, screen}, "1a2b3c4d")
	lines := make(chan string)
	go func() {
		line, _ := term.ReadLine()
		lines <- line
	}()
	io.WriteString(typed, "li")
	screen.wait(t, "> li")
	term.show(pterosocket.ConsoleOutput{Line: "\x1b[31mred\x1b[2J"})
	screen.wait(t, "\x1b[31mred\x1b[0m\r\n")
	term.show(pterosocket.Stats{CPUAbsolute: 3.329, MemoryBytes: 47, MemoryLimitBytes: 100, State: "running"})
	screen.wait(t, "\x1b]0;1a2b3c4d | cpu 3.3% | mem 47% | running\x07")
	if strings.Contains(screen.String(), "\x1b[2J") {
		t.Error("the game cleared the operator's screen")
	}
	io.WriteString(typed, "st\r")
	if line := <-lines; line != "list" {
		t.Errorf("typed %q", line)
	}
}
