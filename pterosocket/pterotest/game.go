package pterotest

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/pterosocket/pterosocket-go/internal/wire"
)

const (
	maxLine     = 64 << 10 // bytes; a longer line comes in pieces
	lostBytes   = 4 << 10  // behind each piece
	keepHistory = 4096     // lines
)

// Print prints lines on the game's console. An empty line comes in the history only. A line of more than 64 KiB comes
// in pieces of 64 KiB, and the 4 KiB after each piece are lost, as on real daemons.
func (s *Server) Print(lines ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, line := range lines {
		for len(line) > maxLine {
			s.printLocked(line[:maxLine])
			line = line[min(len(line), maxLine+lostBytes):]
		}
		s.printLocked(line)
	}
}

func (s *Server) printLocked(line string) {
	if s.history = append(s.history, line); len(s.history) > 2*keepHistory {
		s.history = slices.Clone(s.history[keepHistory:])
	}
	if line == "" { // it is in the history only
		return
	}
	s.broadcastLocked(wire.ConsoleOutput, strings.ReplaceAll(line, " \r", "\r\n"))
}

// PrintDaemon prints a line of the daemon itself, which does not come in the history.
func (s *Server) PrintDaemon(text string) {
	s.broadcast(wire.ConsoleOutput, "\x1b[33m\x1b[1m["+s.cfg.Dialect.daemonName()+" Daemon]:\x1b[39m "+text+"\x1b[0m")
}

// History returns the lines that the game has printed since its start.
func (s *Server) History() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.history)
}

// replayed returns what "send logs" answers, and who answers it instead, if anybody.
func (s *Server) replayed() ([]string, func([]string, func(string))) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == "offline" {
		return nil, nil
	}
	lines := s.history[max(0, len(s.history)-s.cfg.HistoryLines):]
	for i, line := range lines {
		if len(line) >= maxLine { // a line as long as the daemon's buffer ends its reading
			lines = lines[:i]
			break
		}
	}
	return slices.Clone(lines), s.onReplay
}

// OnReplay makes replay answer "send logs" instead of the daemon. replay gets the lines that the daemon would send, and
// sends what it likes. So a test can print live lines during the replay, or send nothing at all. While the server is
// offline nothing is replayed, and replay is not called. Nil restores the daemon.
func (s *Server) OnReplay(replay func(history []string, send func(line string))) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onReplay = replay
}

// Emit sends an event to every authenticated client whose token allows it.
func (s *Server) Emit(event string, args ...string) { s.broadcast(event, args...) }

// EmitRaw sends text as a frame to every client, valid or not.
func (s *Server) EmitRaw(text string) {
	s.mu.Lock()
	sockets := s.list()
	s.mu.Unlock()
	for _, k := range sockets {
		_ = k.sendFrame([]byte(text))
	}
}

func (s *Server) broadcast(event string, args ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broadcastLocked(event, args...)
}

func (s *Server) broadcastLocked(event string, args ...string) {
	for k := range s.sockets {
		if !k.push(event, args...) {
			s.dropped.SlowReaders++
		}
	}
}

// State returns the server's power state.
func (s *Server) State() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// SetState sets the power state and tells the clients.
func (s *Server) SetState(state string) {
	s.mu.Lock()
	if s.state == "offline" && state != "offline" {
		s.started = time.Now()
	}
	s.state = state
	if state == "offline" && s.acting == "stop" {
		s.acting = ""
	}
	s.broadcastLocked(wire.Status, state)
	s.mu.Unlock()
	if state == "offline" {
		s.broadcast(wire.Stats, s.currentStats().mapOrder())
	}
	s.announce()
}

var (
	errRunning   = errors.New("server is running")
	errSuspended = errors.New("server is currently in a suspended state")
	errPower     = errors.New("attempting to handle unknown power action")
	errBusy      = errors.New("another power action is currently being processed for this server, please try again later")
)

// Power carries out a power action as if somebody else had asked for it: start, stop, restart or kill. Its error is the
// daemon's refusal.
func (s *Server) Power(action string) error {
	return s.power(&claims{Permissions: []string{"*"}}, action)
}

// power carries out a power action. While one is being carried out, others are refused, but for kill.
func (s *Server) power(c *claims, action string) error {
	needs := map[string]string{"start": "control.start", "stop": "control.stop", "restart": "control.restart", "kill": "control.stop"}[action]
	switch {
	case needs == "":
		return errPower
	case !c.can(needs):
		return nil
	case s.Suspended() && action != "stop" && action != "kill":
		return errSuspended
	case action == "kill":
		if s.State() != "offline" {
			s.SetState("stopping")
			s.later(20*time.Millisecond, s.nextRun(), func() { s.SetState("offline") })
		}
		return nil
	}
	if !s.beginPower(action) {
		return errBusy
	}
	if action != "stop" { // which ends when the server is offline
		defer s.endPower()
	}
	offline := s.State() == "offline"
	switch action {
	case "start":
		if !offline {
			return errRunning
		}
		s.start()
	case "stop":
		if offline {
			s.endPower()
			return nil
		}
		s.stop()
	case "restart":
		if !offline {
			s.stop()
			if s.WaitFor(s.ctx, func() bool { return s.State() == "offline" }) != nil {
				return nil
			}
		}
		s.start()
	}
	return nil
}

// beginPower notes that an action is being carried out. It reports false when another is.
func (s *Server) beginPower(action string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.acting != "" {
		return false
	}
	s.acting = action
	return true
}

func (s *Server) endPower() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.acting = ""
}

func (s *Server) start() {
	first := "Checking server disk space usage, this could take a few seconds..."
	if s.cfg.Dialect == Pelican {
		first = "checking server disk space usage, this could take a few seconds..."
	}
	s.PrintDaemon(first)
	s.PrintDaemon("Updating process configuration files...")
	s.PrintDaemon("Ensuring file permissions are set correctly, this could take a few seconds...")
	s.mu.Lock()
	s.history = nil
	s.mu.Unlock()
	s.SetState("starting")
	lines := s.cfg.StartLines
	last := max(0, len(lines)-1)
	s.Print(lines[:last]...)
	s.later(s.cfg.StartDelay, s.nextRun(), func() {
		s.Print(lines[last:]...)
		s.SetState("running")
	})
}

func (s *Server) stop() {
	s.Print("stop", "Stopping the server")
	s.SetState("stopping")
	s.later(s.cfg.StopDelay, s.nextRun(), func() {
		s.Print("Saving chunks")
		s.SetState("offline")
	})
}

// nextRun makes what earlier power actions have still to do void.
func (s *Server) nextRun() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.run++
	return s.run
}

// later calls f after a delay, unless another power action has come in between.
func (s *Server) later(delay time.Duration, run int, f func()) {
	s.spawn(func() {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-s.ctx.Done():
			return
		}
		s.mu.Lock()
		current := s.run == run
		s.mu.Unlock()
		if current {
			f()
		}
	})
}

// command gives a command to the game. A line break in it makes two.
func (s *Server) command(text string) {
	s.gameLock.Lock()
	defer s.gameLock.Unlock()
	for line := range strings.SplitSeq(text, "\n") {
		s.mu.Lock()
		running := s.state != "offline"
		if running && line != "" {
			s.commands = append(s.commands, line)
		}
		s.mu.Unlock()
		switch {
		case !running || line == "":
		case line == "stop":
			s.stop()
		case s.cfg.Game != nil:
			s.Print(s.cfg.Game(line)...)
		default:
			s.Print(line)
		}
	}
	s.announce()
}

// Commands returns the commands that have reached the game, in their order there.
func (s *Server) Commands() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.commands)
}
