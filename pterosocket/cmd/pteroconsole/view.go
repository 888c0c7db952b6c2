package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pterosocket/pterosocket-go/internal/ansi"
	"github.com/pterosocket/pterosocket-go/pterosocket"
)

// A view shows events, and what else the user must know. Its methods may be called concurrently.
type view interface {
	show(pterosocket.Event) error // what kept it from being shown
	noter
}

// A noter tells the user something.
type noter interface{ note(text string) }

// A grapher has seen a server's stats.
type grapher interface {
	graph() string // of the last ten minutes; "" before the first stats
}

// A recorder remembers what a server's events tell beyond the moment. Its methods may be called concurrently.
type recorder struct {
	glyphs  []rune
	mu      sync.Mutex
	usage   resources
	players players
}

func (r *recorder) record(ev pterosocket.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch ev := ev.(type) {
	case pterosocket.Stats:
		r.usage.add(time.Now(), ev)
	case pterosocket.ConsoleOutput:
		r.players.observe(ev.Plain())
	}
}

func (r *recorder) graph() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.usage.graph(r.glyphs)
}

func (r *recorder) complete(line string) (completed string, ways []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.players.complete(line)
}

// describe puts an event into words; "" for what is not worth one.
func describe(ev pterosocket.Event) string {
	switch ev := ev.(type) {
	case pterosocket.Status:
		return "the server is " + string(ev.State)
	case pterosocket.Close:
		switch {
		case ev.Final && ev.Err == nil:
			return "closed"
		case ev.Final:
			return "" // main prints the error
		}
		return fmt.Sprintf("connection lost: %v; back in %v", ev.Err, ev.RetryIn.Round(time.Millisecond))
	case pterosocket.Error:
		return ev.Err.Error()
	case pterosocket.Start:
		if ev.Reconnects > 0 {
			return fmt.Sprintf("reconnecting to %s", ev.Socket)
		}
		return "connecting to " + ev.Socket
	case pterosocket.DaemonMessage:
		return "daemon: " + ev.Message
	case pterosocket.DaemonError:
		return "daemon: " + ev.Message
	case pterosocket.JWTError:
		return "the daemon refuses the token (" + ev.Message + "); asking for a new one"
	case pterosocket.InstallStarted:
		return "the installation has begun"
	case pterosocket.InstallOutput:
		return "install: " + ev.Line
	case pterosocket.InstallCompleted:
		if ev.Known && !ev.Successful {
			return "the installation has failed"
		}
		return "the installation has ended"
	case pterosocket.BackupCompleted:
		if ev.Successful {
			return fmt.Sprintf("backup %s is done, %d bytes", ev.UUID, ev.Size)
		}
		return fmt.Sprintf("backup %s has failed", ev.UUID)
	case pterosocket.BackupRestoreCompleted:
		if ev.Known && !ev.Successful {
			return "the backup could not be restored"
		}
		return "the backup has been restored"
	case pterosocket.TransferStatus:
		return "transfer: " + ev.Status
	case pterosocket.TransferLogs:
		return "transfer: " + ev.Line
	case pterosocket.Throttled:
		return "the daemon dropped messages because there were too many: " + ev.Event
	case pterosocket.Deleted:
		return "the server has been deleted"
	case pterosocket.FeatureMatch:
		return "the daemon noticed " + ev.Key + ": " + ev.Line
	case pterosocket.Lagged:
		return fmt.Sprintf("%d events were dropped here: this terminal is too slow", ev.Dropped)
	case pterosocket.Gap:
		return "lines may be missing here"
	case pterosocket.Unknown:
		return ev.Event + ": " + strings.Join(ev.Args, " ")
	}
	return describeCalagopus(ev)
}

// describeStats puts a server's resources into a line.
func describeStats(s pterosocket.Stats) string {
	const mib = 1 << 20
	limit := "no limit"
	if s.MemoryLimitBytes > 0 {
		limit = fmt.Sprintf("%d MiB", s.MemoryLimitBytes/mib)
	}
	return fmt.Sprintf("%s for %v: cpu %.1f%%, memory %d MiB of %s, disk %d MiB, network %d MiB in, %d MiB out", s.State,
		s.Uptime.Round(time.Second), s.CPUAbsolute, s.MemoryBytes/mib, limit, s.DiskBytes/mib, s.Network.RxBytes/mib, s.Network.TxBytes/mib)
}

// describeCalagopus does the same with what only Calagopus sends.
func describeCalagopus(ev pterosocket.Event) string {
	percent := func(what, id string, p pterosocket.Progress) string {
		if p.Total == 0 {
			return ""
		}
		return fmt.Sprintf("%s: %.0f%%", strings.TrimSpace(what+" "+id), 100*float64(p.Done)/float64(p.Total))
	}
	switch ev := ev.(type) {
	case pterosocket.InstallProgress:
		return percent("the installation", "", ev.Progress)
	case pterosocket.ImagePullProgress:
		return percent("downloading the image", ev.ID, ev.Progress)
	case pterosocket.ImagePullCompleted:
		return "the image has been downloaded"
	case pterosocket.BackupStarted:
		return fmt.Sprintf("backup %s has begun", ev.UUID)
	case pterosocket.BackupProgress:
		return percent("backup", ev.UUID, ev.Progress)
	case pterosocket.BackupDeleted:
		return fmt.Sprintf("backup %s has been deleted", ev.UUID)
	case pterosocket.BackupRestoreStarted:
		return "a backup is being restored"
	case pterosocket.BackupRestoreProgress:
		return percent("restoring the backup", "", ev.Progress)
	case pterosocket.TransferProgress:
		return percent("transfer", "", ev.Progress)
	case pterosocket.ScheduleStarted:
		return fmt.Sprintf("schedule %s has begun", ev.UUID)
	case pterosocket.ScheduleStepStatus:
		return fmt.Sprintf("schedule step %s: %s", ev.UUID, ev.Status)
	case pterosocket.ScheduleStepError:
		return fmt.Sprintf("schedule step %s has failed: %s", ev.UUID, ev.Message)
	case pterosocket.ScheduleCompleted:
		return fmt.Sprintf("schedule %s has ended", ev.UUID)
	case pterosocket.OperationProgress:
		return percent("operation", ev.UUID, ev.Progress)
	case pterosocket.OperationError:
		return fmt.Sprintf("operation %s has failed: %s", ev.UUID, ev.Message)
	case pterosocket.OperationCompleted:
		return fmt.Sprintf("operation %s has ended", ev.UUID)
	}
	return ""
}

// pipeView writes console lines to stdout and the rest to stderr.
type pipeView struct {
	recorder
	mu             sync.Mutex
	stdout, stderr io.Writer
}

func (v *pipeView) show(ev pterosocket.Event) error {
	v.record(ev)
	if line, ok := ev.(pterosocket.ConsoleOutput); ok {
		v.mu.Lock()
		defer v.mu.Unlock()
		_, err := fmt.Fprintln(v.stdout, line.Plain())
		return err
	}
	if text := describe(ev); text != "" {
		v.note(text)
	}
	return nil
}

func (v *pipeView) note(text string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	fmt.Fprintln(v.stderr, "*", ansi.Plain(text))
}

// jsonView writes every event as a JSON object a line.
type jsonView struct {
	mu             sync.Mutex
	stdout, stderr io.Writer
}

func (v *jsonView) show(ev pterosocket.Event) error {
	line, err := eventJSON(time.Now(), ev)
	if err != nil {
		v.note(err.Error())
		return nil
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	_, err = fmt.Fprintf(v.stdout, "%s\n", line)
	return err
}

func (v *jsonView) note(text string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	fmt.Fprintln(v.stderr, "*", ansi.Plain(text))
}

// eventJSON returns what MarshalEvent does, with a time: {"time":"...","event":"console_output",...}.
func eventJSON(now time.Time, ev pterosocket.Event) ([]byte, error) {
	event, err := pterosocket.MarshalEvent(ev)
	if err != nil {
		return nil, err
	}
	line := now.AppendFormat([]byte(`{"time":"`), time.RFC3339Nano)
	return escapeControls(append(append(line, `",`...), event[1:]...)), nil
}

// firstStats returns the last stats. A daemon sends some every second, so just behind the connect it waits for the first.
func firstStats(ctx context.Context, commands *pterosocket.Commands) (pterosocket.Stats, error) {
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for range 50 {
		if stats, ok := commands.Stats(); ok {
			return stats, nil
		}
		if commands.State() == pterosocket.StateOffline {
			return pterosocket.Stats{}, errors.New("the server is offline, so there are no stats")
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return pterosocket.Stats{}, context.Cause(ctx)
		}
	}
	return pterosocket.Stats{}, errors.New("the daemon sends no stats")
}

// escapeControls escapes what JSON leaves as it is and a terminal obeys: DEL and the C1 controls.
func escapeControls(line []byte) []byte {
	isControl := func(r rune) bool { return r >= 0x7f && r < 0xa0 }
	if bytes.IndexFunc(line, isControl) < 0 {
		return line
	}
	var out bytes.Buffer
	for _, r := range string(line) {
		if isControl(r) {
			fmt.Fprintf(&out, `\u%04x`, r)
		} else {
			out.WriteRune(r)
		}
	}
	return out.Bytes()
}

// answerFor is how long the console goes on after the last of the commands in a pipe.
const answerFor = time.Second

// readLines sends the lines of r as commands until r or quit ends. Behind the last command the answer is waited for,
// and then the program ends, unless something else says when. Without any command the end of r means nothing.
func readLines(quit context.Context, cancel context.CancelFunc, r io.Reader, commands *pterosocket.Commands, v view, bounded bool) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	some := false
	for lines.Scan() && quit.Err() == nil {
		some = true
		if err := execute(quit, cancel, lines.Text(), commands, v); err != nil {
			v.note(err.Error())
		}
	}
	if err := lines.Err(); err != nil && quit.Err() == nil {
		v.note("no more commands are read from standard input: " + err.Error())
		return
	}
	if !some || bounded {
		return
	}
	timer := time.NewTimer(answerFor)
	defer timer.Stop()
	select {
	case <-timer.C:
		cancel()
	case <-quit.Done():
	}
}

const help = `:start :stop :restart :kill  power actions
:logs   the daemon's recent lines
:stats  resources now
:graph  resources in the last ten minutes
:help   this
:quit   the end
Anything else is a command for the game. On a terminal Tab completes these, and the names of players that were printed.`

// colonCommands are what Tab completes.
var colonCommands = []string{":graph", ":help", ":kill", ":logs", ":quit", ":restart", ":start", ":stats", ":stop"}

// readyFor is how long a line waits for the connection.
const readyFor = 10 * time.Second

// isQuit reports whether a line asks for the end.
func isQuit(line string) bool {
	line = strings.TrimSpace(line)
	return line == ":quit" || line == ":q" || line == ":exit"
}

// execute carries out a line: a colon command of the console's own, or a command for the game.
func execute(ctx context.Context, quit context.CancelFunc, line string, commands *pterosocket.Commands, v noter) error {
	line = strings.TrimSpace(line)
	switch name, rest, _ := strings.Cut(line, " "); {
	case line == "":
		return nil
	case isQuit(line):
		quit()
		return nil
	case !strings.HasPrefix(line, ":"):
	case rest != "":
		return fmt.Errorf("%s takes no argument", name)
	case name == ":help":
		for text := range strings.SplitSeq(help, "\n") {
			v.note(text)
		}
		return nil
	case name == ":graph":
		return showGraph(v)
	case !slices.Contains(colonCommands, name):
		return fmt.Errorf("unknown: %s; :help lists what there is", name)
	}
	// A pipe does not know when the connection stands; a person who typed while it was away would be surprised by a late
	// command.
	ready, cancel := context.WithTimeout(ctx, readyFor)
	defer cancel()
	if err := commands.Ready(ready); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("%q was not sent: not connected", line)
	}
	var err error
	switch line {
	case ":start", ":stop", ":restart", ":kill":
		err = commands.WritePower(ctx, pterosocket.PowerAction(line[1:]))
	case ":logs":
		err = commands.RequestLogs(ctx)
	case ":stats":
		var stats pterosocket.Stats
		if stats, err = firstStats(ctx, commands); err == nil {
			v.note(describeStats(stats))
		}
	default:
		err = commands.WriteCommand(ctx, line)
	}
	if err != nil && (ctx.Err() != nil || errors.Is(err, pterosocket.ErrClosed)) {
		return nil
	}
	return err
}

// showGraph draws what v has seen, if it is one that looks.
func showGraph(v noter) error {
	g, ok := v.(grapher)
	if !ok {
		return errors.New(":graph is not there with -json, nor with several servers; top has it")
	}
	graph := g.graph()
	if graph == "" {
		return errors.New("no stats have come yet; try again in a second")
	}
	v.note(graph)
	return nil
}
