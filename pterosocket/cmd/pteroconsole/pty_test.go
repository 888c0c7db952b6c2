//go:build unix

package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/charmbracelet/x/vt"
	"github.com/creack/pty"
	"golang.org/x/term"

	"github.com/pterosocket/pterosocket-go/pterosocket/pterotest"
)

// A session is the program on a pseudo-terminal, with what a terminal makes of its output.
type session struct {
	t      *testing.T
	cmd    *exec.Cmd
	master *os.File
	tty    *os.File
	before *term.State

	mu      sync.Mutex
	screen  *vt.Emulator
	raw     strings.Builder
	changed chan struct{}
	exited  chan error
	read    chan struct{}
}

// onTerminal starts the program. It is this test's binary, which main_test.go makes behave so.
func onTerminal(t *testing.T, srv *pterotest.Server, env []string, args ...string) *session {
	t.Helper()
	master, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	s := &session{t: t, master: master, tty: tty, screen: vt.NewEmulator(80, 24), changed: make(chan struct{}, 1),
		exited: make(chan error, 1), read: make(chan struct{})}
	s.resize(80, 24)
	if s.before, err = term.GetState(int(tty.Fd())); err != nil {
		t.Fatal(err)
	}
	s.cmd = exec.Command(os.Args[0], args...)
	s.cmd.Env = append([]string{isProgram + "=1", "TERM=xterm-256color", "LANG=C.UTF-8", "PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(),
		"PTERO_ORIGIN=" + srv.Origin(), "PTERO_API_KEY=" + srv.APIKey(), "PTERO_SERVER=" + srv.ServerID()}, env...)
	s.cmd.Stdin, s.cmd.Stdout, s.cmd.Stderr = tty, tty, tty
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	answered := make(chan struct{})
	go func() { // what the terminal answers when it is asked
		defer close(answered)
		_, _ = io.Copy(master, s.screen)
	}()
	go s.readAll()
	go func() { s.exited <- s.cmd.Wait() }()
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		_ = tty.Close()
		_ = master.Close()
		<-s.read
		_ = s.screen.InputPipe().(io.Closer).Close() // Close itself is not safe beside Read
		<-answered
	})
	return s
}

func (s *session) readAll() {
	defer close(s.read)
	buf := make([]byte, 32<<10)
	for {
		n, err := s.master.Read(buf)
		s.mu.Lock()
		_, _ = s.screen.Write(buf[:n])
		if s.raw.Len() < 16<<20 {
			s.raw.Write(buf[:n])
		}
		s.mu.Unlock()
		select {
		case s.changed <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

func (s *session) resize(width, height int) {
	if err := pty.Setsize(s.master, &pty.Winsize{Cols: uint16(width), Rows: uint16(height)}); err != nil {
		s.t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.screen.Resize(width, height)
}

// shown returns what is on the screen.
func (s *session) shown() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.screen.String()
}

// written returns all that the terminal was sent.
func (s *session) written() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.raw.String()
}

// wait waits until the screen shows all parts.
func (s *session) wait(parts ...string) {
	s.t.Helper()
	timeout := time.After(time.Minute)
	for {
		missing := ""
		shown := s.shown()
		for _, part := range parts {
			if !strings.Contains(shown, part) {
				missing = part
			}
		}
		if missing == "" {
			return
		}
		select {
		case <-s.changed:
		case <-timeout:
			s.t.Fatalf("no %q on\n%s", missing, shown)
		}
	}
}

func (s *session) send(text string) {
	s.t.Helper()
	if _, err := s.master.WriteString(text); err != nil {
		s.t.Fatal(err)
	}
}

// end waits for the program's end, and holds the terminal against what it was.
func (s *session) end(status int) {
	s.t.Helper()
	select {
	case err := <-s.exited:
		var exit *exec.ExitError
		if got := s.cmd.ProcessState.ExitCode(); got != status || err != nil && !errors.As(err, &exit) {
			s.t.Errorf("status %d: %v\n%s", got, err, s.shown())
		}
	case <-time.After(time.Minute):
		s.t.Fatalf("it does not end:\n%s", s.shown())
	}
	after, err := term.GetState(int(s.tty.Fd()))
	if err != nil || *after != *s.before {
		s.t.Errorf("the terminal is not as it was: %v", err)
	}
	const mark = "\x1b]0;read to here\x07" // what the program wrote comes before it
	if _, err := s.tty.WriteString(mark); err != nil {
		s.t.Fatal(err)
	}
	for !strings.HasSuffix(s.written(), mark) {
		<-s.changed
	}
	raw := s.written()
	if on, off := strings.LastIndex(raw, "\x1b[?1049h"), strings.LastIndex(raw, "\x1b[?1049l"); on > off {
		s.t.Error("the alternate screen is left on")
	}
	if hidden, there := strings.LastIndex(raw, "\x1b[?25l"), strings.LastIndex(raw, "\x1b[?25h"); hidden > there {
		s.t.Error("the cursor is left hidden")
	}
	for _, mode := range []string{"2004", "1000", "1002", "1003", "1006"} { // bracketed paste, the mouse
		if on, off := strings.LastIndex(raw, "\x1b[?"+mode+"h"), strings.LastIndex(raw, "\x1b[?"+mode+"l"); on > off {
			s.t.Errorf("mode %s is left on", mode)
		}
	}
}

// The table, a console in it, a power action, a resize, and the end.
func TestTopOnATerminal(t *testing.T) {
	srv := pterotest.NewServer(pterotest.Config{})
	defer srv.Close()
	srv.SetName("alpha")
	other := srv.AddServer(pterotest.ServerConfig{Name: "beta", Node: 1})
	s := onTerminal(t, srv, []string{"PTERO_SERVER="}, "top")
	s.wait("2 servers, 2 connected", ">alpha", " beta", "Node 2", "12.3")
	s.send("j")
	s.wait(">beta")
	other.Print("printed before")
	s.send("\r")
	s.wait("printed before", "Esc: all servers")
	s.send("say \x1b[200~pasted\nstop\x1b[201~")
	s.wait("> say pasted stop")
	s.send("\r")
	s.wait("say pasted stop")
	s.resize(100, 30)
	s.wait("> ")
	s.send(":sta\t")
	s.wait("* :start  :stats")
	s.send("ts\r")
	s.wait("* running for ")
	s.send("\x1b")
	s.wait(">beta", "LAST MINUTES")
	s.resize(40, 10)
	s.wait(">beta", "alpha")
	s.send("T")
	s.wait(`stop "beta"? y`)
	s.send("y")
	s.wait("offline")
	other.Delete(true)
	s.wait("beta")
	s.send("q")
	s.end(0)
}

// However the end comes, the terminal is as it was.
func TestTopEnds(t *testing.T) {
	for name, end := range map[string]func(*session){
		"Ctrl-C":           func(s *session) { s.send("\x03") },
		"SIGTERM":          func(s *session) { _ = s.cmd.Process.Signal(syscall.SIGTERM) },
		"SIGHUP":           func(s *session) { _ = s.cmd.Process.Signal(syscall.SIGHUP) },
		"Ctrl-C, console":  func(s *session) { s.send("\r"); s.wait("Esc: all"); s.send("\x03") },
		"Ctrl-C, question": func(s *session) { s.send("K"); s.wait("y: yes"); s.send("\x03") },
		"Ctrl-C, filter":   func(s *session) { s.send("/"); s.wait("\n/"); s.send("\x03") },
	} {
		t.Run(name, func(t *testing.T) {
			srv := pterotest.NewServer(pterotest.Config{})
			defer srv.Close()
			s := onTerminal(t, srv, nil, "top")
			s.wait("1 connected")
			end(s)
			s.end(0)
		})
	}
}

// A fleet that ends by itself ends top, and says why where it can be read.
func TestTopSaysWhyItEnded(t *testing.T) {
	srv := pterotest.NewServer(pterotest.Config{})
	defer srv.Close()
	s := onTerminal(t, srv, []string{"PTERO_API_KEY=wrong"}, "top")
	s.wait("check the API key")
	s.end(1)
}

// Ctrl-C while the panel does not answer yet ends it at once.
func TestCtrlCBeforeAnything(t *testing.T) {
	for _, args := range [][]string{{"top"}, nil} {
		srv := pterotest.NewServer(pterotest.Config{})
		asked := make(chan struct{}, 100)
		srv.InterceptPanel(func(_ http.ResponseWriter, r *http.Request) bool {
			asked <- struct{}{}
			<-r.Context().Done()
			return true
		})
		s := onTerminal(t, srv, nil, args...)
		<-asked
		s.send("\x03")
		s.end(1)
		srv.Close()
	}
}

// A closed terminal ends the program.
func TestClosedTerminal(t *testing.T) {
	for _, args := range [][]string{{"top"}, nil} {
		srv := pterotest.NewServer(pterotest.Config{})
		s := onTerminal(t, srv, nil, args...)
		if args != nil {
			s.wait("1 connected")
		} else {
			s.wait("connected;")
		}
		_ = s.tty.Close()
		_ = s.master.Close()
		select {
		case <-s.exited:
		case <-time.After(time.Minute):
			t.Errorf("%v goes on", args)
		}
		srv.Close()
	}
}

// Ten thousand lines a second do not keep the keys from working.
func TestFloodOnATerminal(t *testing.T) {
	srv := pterotest.NewServer(pterotest.Config{})
	defer srv.Close()
	stop := make(chan struct{})
	var flooding sync.WaitGroup
	flooding.Go(func() {
		ticker := time.NewTicker(10 * time.Millisecond)
		defer ticker.Stop()
		for n := 0; ; {
			select {
			case <-ticker.C:
			case <-stop:
				return
			}
			for range 100 {
				n++
				srv.Print(fmt.Sprint("\x1b[33mline\x1b[0m ", n))
			}
		}
	})
	defer flooding.Wait()
	defer close(stop)
	s := onTerminal(t, srv, nil, "top")
	s.wait("1 connected")
	s.send("\r")
	s.wait("Esc: all servers", "line ")
	s.send(":stats\r")
	s.send("\x1b")
	s.wait("LAST MINUTES")
	s.send("/xyz")
	s.wait("no server matches")
	s.send("\x03")
	s.end(0)
}

var colour = regexp.MustCompile(`\x1b\[(\d+;)*([349]\d|10\d)(;\d+)*m`)

// Nothing is told by colours alone, and NO_COLOR turns them off.
func TestNoColour(t *testing.T) {
	srv := pterotest.NewServer(pterotest.Config{})
	defer srv.Close()
	srv.AddServer(pterotest.ServerConfig{Name: "zeta"}) // the row that is not selected has colours
	s := onTerminal(t, srv, []string{"NO_COLOR=1", "PTERO_SERVER="}, "top")
	s.wait("2 connected", "zeta             Node 1   running")
	s.send("q")
	s.end(0)
	if raw := s.written(); colour.MatchString(raw) {
		t.Errorf("colours: %q", raw)
	}
}

// The console of one server: what is typed stays whole while lines come, Tab completes, :graph draws.
func TestConsoleOnATerminal(t *testing.T) {
	srv := pterotest.NewServer(pterotest.Config{})
	defer srv.Close()
	s := onTerminal(t, srv, nil)
	s.wait("connected;")
	srv.Print("[12:00:00] Nadia joined the game", "[12:00:00] Nico joined the game")
	s.wait("Nico joined")
	s.send("kick na\t")
	s.wait("> kick Nadia")
	srv.Print("a line between")
	s.wait("a line between\n", "> kick Nadia")
	s.send("\r")
	s.wait("kick Nadia")
	s.send("kick n\t")
	s.wait("* Nadia  Nico")
	s.send("\x15:sta\tt\x7fts\r") // Ctrl-U first
	s.wait("* running for ")
	s.send(":graph\r")
	s.wait("* cpu ", "█ 12.3%  mem ")
	s.resize(50, 12)
	s.send(":help\r")
	s.wait("* :graph  resources")
	s.send(":quit\r")
	s.end(0)
}

// Without a terminal there is nothing to do for top, even if it was started so that a hangup is ignored.
func TestTopEndsWithItsTerminal(t *testing.T) {
	srv := pterotest.NewServer(pterotest.Config{})
	defer srv.Close()
	signal.Ignore(syscall.SIGHUP)
	s := onTerminal(t, srv, nil, "top")
	signal.Reset(syscall.SIGHUP)
	s.wait("1 connected")
	_ = s.tty.Close()
	_ = s.master.Close()
	select {
	case <-s.exited:
	case <-time.After(time.Minute):
		t.Error("it goes on")
	}
}

// A terminal that knows no escape sequences gets none.
func TestDumbTerminal(t *testing.T) {
	srv := pterotest.NewServer(pterotest.Config{})
	defer srv.Close()
	s := onTerminal(t, srv, []string{"TERM=dumb"}, "top")
	s.wait("move its cursor")
	s.end(1)
	s = onTerminal(t, srv, []string{"TERM=dumb"})
	s.wait("the server is running")
	srv.Print("\x1b[31mred")
	s.wait("\nred")
	if raw := s.written(); strings.Contains(raw, "\x1b") {
		t.Errorf("%q", raw)
	}
	s.send(":quit\n")
	s.end(0)
}

// While the daemon is away, a line that waits for it keeps nobody from leaving, and :help helps.
func TestLeavingWithoutAConnection(t *testing.T) {
	for _, leave := range []string{"\x03", "\x04", ":quit\r"} {
		srv := pterotest.NewServer(pterotest.Config{})
		s := onTerminal(t, srv, nil)
		s.wait("connected;")
		srv.SetDown(true)
		s.wait("connection lost")
		s.send("list\r:help\r" + leave)
		s.end(0)
		if shown := s.shown(); strings.Contains(shown, "was not sent") {
			t.Errorf("%q waits for the connection:\n%s", leave, shown)
		}
		srv.Close()
	}
}

// In a pipe whose reader goes, the program ends and says so.
func TestHeadOfAPipe(t *testing.T) {
	srv := pterotest.NewServer(pterotest.Config{})
	defer srv.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = []string{isProgram + "=1", "PTERO_ORIGIN=" + srv.Origin(), "PTERO_API_KEY=" + srv.APIKey(), "PTERO_SERVER=" + srv.ServerID()}
	cmd.Stdout = w
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	if err := srv.WaitFor(t.Context(), func() bool { return srv.Authenticated() > 0 }); err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(stdin, "say hello\n")
	if _, err := r.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	_ = r.Close()
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case <-ended:
			return
		case <-time.After(10 * time.Millisecond):
			srv.Print("more")
		}
	}
}
