package pterotest_test

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pterosocket/pterosocket-go/internal/recorded"
	"github.com/pterosocket/pterosocket-go/internal/transport"
	"github.com/pterosocket/pterosocket-go/internal/wire"
	"github.com/pterosocket/pterosocket-go/pterosocket/pterotest"
)

// A scene plays one recorded connection against the fake: what the recorded client sent is sent at the same moments,
// and what was done to the recorded daemon is done to the fake. What the fake says must then be what the recorded
// daemon said.
type scene struct {
	file       string // below ptero/ and pelican/
	connection int
	offline    bool
	only       string        // "" or the one dialect it is played on
	until      time.Duration // how much of it is played; 0: all. What followed was done by means that a client does not have
	stopDelay  time.Duration
	ignore     func(frame string) bool
}

var scenes = []scene{
	{file: "02-connect-offline", offline: true, until: 2500 * time.Millisecond}, // then it was started
	{file: "03-power", offline: true, until: 22 * time.Second, stopDelay: 1500 * time.Millisecond},
	{file: "04-console", ignore: inHistory},
	{file: "05-command", only: "pelican"},
	{file: "05-command", only: "ptero", until: 3300 * time.Millisecond}, // then a binary frame
	{file: "06-jwt-errors", connection: 1},                              // garbage
	{file: "06-jwt-errors", connection: 2},                              // no token
	{file: "08-events"},
	{file: "12-deleted-offline", offline: true, ignore: stray},
	{file: "12-deleted-running", ignore: stray},
	{file: "13-deny-api"},
	{file: "15-drop", connection: 1},
	{file: "17-throttled", only: "pelican"},
	{file: "17-throttled", only: "pelican", connection: 1, ignore: inHistory},
	{file: "17-throttled", only: "pelican", connection: 2},
	{file: "17-throttled", only: "pelican", connection: 3},
	{file: "17-throttled", only: "pelican", connection: 5},
	{file: "17-throttled", only: "pelican", connection: 6, ignore: inHistory}, // the daemon crashed
	{file: "23-restart"},
}

func TestRecordedScenes(t *testing.T) {
	for dir, dialect := range map[string]pterotest.Dialect{"ptero": pterotest.Pterodactyl, "pelican": pterotest.Pelican} {
		for _, sc := range scenes {
			if sc.only != "" && sc.only != dir {
				continue
			}
			name := dir + "/" + sc.file + ".jsonl"
			entries := recorded.Connections(t, name)[sc.connection]
			t.Run(fmt.Sprintf("%s/%d", name, sc.connection), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { sc.play(t, dialect, entries) })
			})
		}
	}
}

func (sc scene) play(t *testing.T, dialect pterotest.Dialect, entries []recorded.Entry) {
	srv := pterotest.NewServer(pterotest.Config{Dialect: dialect, InMemory: true, Offline: sc.offline, StopDelay: sc.stopDelay})
	defer srv.Close()
	time.Sleep(2 * time.Second) // tokens of the second before are not confused with those after a deny
	token, socket := credentials(t, srv)
	p, err := dial(t, srv, socket, srv.Origin())
	if err != nil {
		t.Fatal(err)
	}
	said := p.listen()

	var want []string
	start := time.Now().Add(-entries[0].At())
	for _, e := range entries {
		if sc.until != 0 && e.At() > sc.until {
			break
		}
		time.Sleep(time.Until(start.Add(e.At())))
		switch {
		case e.Dir == "out":
			p.sendText(authWith.ReplaceAllString(e.Frame, `"`+token+`"`))
		case e.Dir == "in" && e.Frame != "" && len(e.Frame) < 5000:
			want = append(want, e.Frame)
		case e.Close != 0:
			want = append(want, ending(e.Close, e.Reason))
		case e.Note == "re-auth with a fresh token":
			token, _ = credentials(t, srv)
		case e.Note != "" && e.Dir == "":
			do(t, srv, e.Note, entries)
		}
		if e.ReadError != "" { // the recorded client left
			break
		}
	}
	time.Sleep(500 * time.Millisecond)
	got := said()
	if !strings.HasPrefix(want[len(want)-1], "close") && len(got) > 0 && strings.HasPrefix(got[len(got)-1], "close") {
		t.Errorf("the fake ended with %s", got[len(got)-1])
	}
	if diff := cmp.Diff(sc.byEvent(want), sc.byEvent(got)); diff != "" {
		t.Errorf("(-recorded +fake)\n%s", diff)
	}
}

var authWith = regexp.MustCompile(`"eyJ[^"]*"`)

// do does to the fake what a note says was done to the daemon.
func do(t *testing.T, srv *pterotest.Server, note string, entries []recorded.Entry) {
	if text, ok := strings.CutPrefix(note, "raw long line "); ok {
		n, _ := strconv.Atoi(text)
		srv.Print(strings.Repeat("=", n))
		return
	}
	if text, ok := strings.CutPrefix(note, "raw "); ok {
		line, err := strconv.Unquote(text)
		if err != nil {
			t.Fatal(err)
		}
		srv.Print(line)
		return
	}
	switch {
	case note == "do=install&n=3":
		srv.Install(true, "install line 1/3", "install line 2/3", "install line 3/3")
	case note == "do=backup":
		srv.Backup(pterotest.Backup{Successful: true, Checksum: "8df1881f09ecf98ba4fd3eceaa884fbfdfc75a48", ChecksumType: "sha1", Size: 35})
	case note == "do=restored":
		srv.RestoreBackup(true, "world/level.dat")
	case note == "do=transfer&status=completed":
		srv.Transfer()
	case note == "do=transfer&status=failure":
		srv.FailTransfer()
	case strings.HasPrefix(note, "do=event&topic=daemon+message"):
		srv.Emit("daemon message", "hello <b> & \x1b[31mred")
	case strings.HasPrefix(note, "do=daemon&"):
		srv.PrintDaemon("from daemon <x>")
	case strings.HasPrefix(note, "do=event&topic=backup+completed:abc"):
		srv.Backup(pterotest.Backup{UUID: "abc", ChecksumType: "sha1"})
	case strings.HasPrefix(note, "do=event&topic="):
		topic, data, _ := strings.Cut(strings.TrimPrefix(note, "do=event&topic="), "&data=")
		plain := strings.NewReplacer("+", " ", "%3A", ":")
		srv.Emit(plain.Replace(topic), plain.Replace(data))
	case note == "feature match line":
		srv.MatchFeature("eula", "you need to agree to the eula in order to run the server",
			"You need to agree to the EULA in order to run the server. <x>")
	case strings.HasPrefix(note, "DELETE"):
		srv.Delete(slices.ContainsFunc(entries, func(e recorded.Entry) bool { return strings.Contains(e.Frame, `"deleted"`) }))
	case note == "deny via api":
		srv.DenyTokens()
	case strings.Contains(note, "how=rst"):
		srv.Reset()
	case strings.Contains(note, "how=fin"):
		srv.Drop()
	case strings.HasPrefix(note, "stop then"):
		if err := srv.Power("start"); err != nil {
			t.Error(err)
		}
	case strings.HasPrefix(note, "SIGTERM"):
		srv.RestartDaemon()
	case strings.HasPrefix(note, "left out"), strings.HasPrefix(note, "send "), strings.HasPrefix(note, "set state"),
		strings.HasPrefix(note, "re-auth"), strings.Contains(note, " x \""), strings.Contains(note, "back to back"),
		strings.HasPrefix(note, "binary frame"), strings.HasSuffix(note, "token"), note == "bad signature":
	default:
		t.Fatalf("nobody knows how to %q", note)
	}
}

// byEvent sorts frames by their event: in which order a daemon's goroutines come to send is their own affair. Stats
// come each second by themselves, so only those of an offline server are looked at.
func (sc scene) byEvent(frames []string) map[string][]string {
	sorted := make(map[string][]string)
	for _, f := range frames {
		if strings.HasPrefix(f, "close") {
			sorted["close"] = append(sorted["close"], f)
			continue
		}
		var d wire.Decoder
		frame, err := d.Decode([]byte(f))
		if err != nil || frame.Event == "stats" && !strings.Contains(frame.Arg(0), "offline") || sc.ignore != nil && sc.ignore(f) {
			continue
		}
		f = logTime.ReplaceAllString(alike(f), "TIME")
		if frame.Event == wire.JWTError && !strings.Contains(f, "Error Event") {
			// One came for each of the stats, whose moment is the daemon's own.
			if slices.Contains(sorted[frame.Event], f) {
				continue
			}
		}
		sorted[frame.Event] = append(sorted[frame.Event], f)
	}
	return sorted
}

var logTime = regexp.MustCompile(`\w+, \d+ \w+ \d+ \d+:\d+:\d+ UTC`)

func ending(code int, reason string) string {
	if code == 1006 {
		return "close without a frame"
	}
	return fmt.Sprintf("close %d %q", code, reason)
}

// listen reads until the connection ends. What it returns returns what was read so far.
func (p *peer) listen() (said func() []string) {
	frames := make(chan string, 10000)
	go func() {
		for {
			data, err := p.conn.Read(1 << 20)
			var closed *transport.CloseError
			switch {
			case errors.As(err, &closed):
				frames <- ending(closed.Code, closed.Reason)
				return
			case errors.Is(err, io.ErrUnexpectedEOF):
				frames <- ending(1006, "")
				return
			case err != nil:
				return
			}
			frames <- string(data)
		}
	}()
	return func() (all []string) {
		synctest.Wait()
		for {
			select {
			case f := <-frames:
				all = append(all, f)
			default:
				return all
			}
		}
	}
}

// sendText sends a frame as it is. Whether it arrives is the daemon's affair.
func (p *peer) sendText(text string) { _ = p.conn.Write(p.t.Context(), []byte(text)) }

// inHistory: the recorded game had printed other lines before, which a replay shows; or the daemon did not survive the
// scene.
func inHistory(frame string) bool { return strings.Contains(frame, `"console output"`) }

// stray: empty lines that a container's removal causes on some days.
func stray(frame string) bool { return strings.HasSuffix(frame, `output","args":[""]}`+"\n") }
