package relay

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pterosocket/pterosocket-go/pterosocket"
)

// openTestStore starts a NATS server and makes the stream and the buckets.
func openTestStore(t *testing.T, cfg Config) (*store, *nats.Conn) {
	t.Helper()
	nc := DialNATS(t, StartNATS(t, t.TempDir(), -1).ClientURL())
	cfg, err := cfg.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	s, err := openStore(t.Context(), nc, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s, nc
}

// testPublisher runs a publisher until the test ends.
func testPublisher(t *testing.T, s *store, name string) (p *publisher, fenced chan string) {
	t.Helper()
	p = newPublisher(s, name, slog.New(slog.DiscardHandler))
	fenced = make(chan string, 100)
	p.isLeaving, p.fenced = func(string) bool { return false }, func(server string) { fenced <- server }
	p.isSure = func(string) bool { return true }
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { p.run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	return p, fenced
}

func console(server string, from, to int) (events []pterosocket.FleetEvent) {
	for n := from; n < to; n++ {
		events = append(events, pterosocket.FleetEvent{
			Server: server, Time: time.Unix(int64(n), 0).UTC(), Event: pterosocket.ConsoleOutput{Line: fmt.Sprint("line ", n)},
		})
	}
	return events
}

func (p *publisher) claimTest(t *testing.T, server string) uint64 {
	t.Helper()
	added := pterosocket.FleetEvent{Server: server, Time: time.Now(), Event: pterosocket.ServerAdded{Server: pterosocket.Server{ID: server}}}
	seq, _, err := p.claim(t.Context(), added, func() bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	return seq
}

func (p *publisher) addTest(t *testing.T, events ...pterosocket.FleetEvent) {
	t.Helper()
	for _, ev := range events {
		if err := p.add(t.Context(), ev); err != nil {
			t.Fatal(err)
		}
	}
}

// removeTest adds a server's last event, and waits until the outbox has closed.
func (p *publisher) removeTest(t *testing.T, server string) {
	t.Helper()
	p.addTest(t, pterosocket.FleetEvent{Server: server, Time: time.Now(), Event: pterosocket.ServerRemoved{Server: pterosocket.Server{ID: server}}})
	if err := p.await(t.Context(), func(s string) bool { return s == server }); err != nil {
		t.Fatal(err)
	}
}

// empty waits until nothing is held any more.
func (p *publisher) empty() {
	for p.holds() > 0 {
		time.Sleep(time.Millisecond)
	}
}

func linesOf(n, m int) (lines []string) {
	for _, ev := range console("", n, m) {
		lines = append(lines, ev.Event.(pterosocket.ConsoleOutput).Line)
	}
	return lines
}

// A relay that wakes up behind its successor cannot write: not what it had prepared, and not what it reads later. This
// holds for single messages and for batches. Without the expected sequence, it fails.
func TestPausedPublisherCannotWrite(t *testing.T) {
	for _, burst := range []int{1, 7, 1200} {
		t.Run(fmt.Sprint(burst), func(t *testing.T) {
			s, _ := openTestStore(t, testConfig())
			paused, fenced := testPublisher(t, s, "paused")
			paused.claimTest(t, "aa")
			paused.claimTest(t, "bb")
			paused.addTest(t, console("aa", 0, burst)...)
			paused.removeTest(t, "bb") // only so that there is something to wait for
			paused.empty()
			next, _ := testPublisher(t, s, "next")
			seq := next.claimTest(t, "aa")
			lines, err := s.tail(t.Context(), "aa", seq)
			if err != nil || !slices.Equal(lines, linesOf(max(0, burst-tailLines), burst)) {
				t.Fatalf("%d lines before: %v", len(lines), err)
			}
			paused.addTest(t, console("aa", burst, 2*burst)...)
			paused.empty()
			if len(fenced) != 1 || <-fenced != "aa" {
				t.Errorf("nothing was refused")
			}
			next.addTest(t, console("aa", burst, 2*burst)...)
			paused.addTest(t, console("aa", 0, burst)...)
			paused.removeTest(t, "aa")
			next.removeTest(t, "aa")
			// The third sees all, each once.
			third, _ := testPublisher(t, s, "third")
			lines, err = s.tail(t.Context(), "aa", third.claimTest(t, "aa"))
			if err != nil || !slices.Equal(lines, linesOf(max(0, 2*burst-tailLines), 2*burst)) {
				t.Errorf("%d lines in the end: %v", len(lines), err)
			}
			info, err := s.stream.Info(t.Context(), jetstream.WithSubjectFilter(eventSubject("aa", "console_output")))
			if err != nil || info.State.Subjects[eventSubject("aa", "console_output")] != uint64(2*burst) {
				t.Errorf("%+v %v", info.State.Subjects, err)
			}
		})
	}
}

// Many servers write at once, more than NATS takes batches of, and their messages do not disturb each other.
func TestPublishersDoNotDisturbEachOther(t *testing.T) {
	s, _ := openTestStore(t, testConfig())
	const servers, lines = 80, 60
	var all sync.WaitGroup
	for relay := range 4 {
		p, fenced := testPublisher(t, s, fmt.Sprint("relay", relay))
		all.Go(func() {
			for n := relay; n < servers; n += 4 {
				p.claimTest(t, fmt.Sprint("s", n))
			}
			for from := 0; from < lines; from += 10 {
				for n := relay; n < servers; n += 4 {
					p.addTest(t, console(fmt.Sprint("s", n), from, from+10)...)
				}
			}
			for n := relay; n < servers; n += 4 {
				p.removeTest(t, fmt.Sprint("s", n))
			}
			if len(fenced) > 0 || p.holds() != 0 {
				t.Errorf("%d were refused, %d are held", len(fenced), p.holds())
			}
		})
	}
	all.Wait()
	last, _ := testPublisher(t, s, "last")
	for n := range servers {
		server := fmt.Sprint("s", n)
		got, err := s.tail(t.Context(), server, last.claimTest(t, server))
		if err != nil || !slices.Equal(got, linesOf(0, lines)) {
			t.Fatalf("server %d has %d lines: %v", n, len(got), err)
		}
	}
}

func testConfig() Config {
	var cfg Config
	cfg.Origin, cfg.APIKey = "https://panel.example.com", "ptlc_test"
	return cfg
}
