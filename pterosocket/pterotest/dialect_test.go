package pterotest_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pterosocket/pterosocket-go/internal/recorded"
	"github.com/pterosocket/pterosocket-go/internal/transport"
	"github.com/pterosocket/pterosocket-go/pterosocket/pterotest"
)

// peer is a bare client, so that what it reads is what the fake wrote.
type peer struct {
	t    *testing.T
	conn *transport.Conn
}

// credentials asks the panel.
func credentials(t *testing.T, srv *pterotest.Server) (token, socket string) {
	t.Helper()
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.Origin()+"/api/client/servers/"+srv.ServerID()+"/websocket", nil)
	req.Header.Set("Authorization", "Bearer "+srv.APIKey())
	resp, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct {
		Data       struct{ Token, Socket string }
		Token, URL string
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	return answer.Data.Token + answer.Token, answer.Data.Socket + answer.URL
}

func dial(t *testing.T, srv *pterotest.Server, socket, origin string) (*peer, error) {
	t.Helper()
	conn, err := transport.Dialer{HTTPClient: srv.Client()}.Dial(t.Context(), socket, http.Header{"Origin": {origin}})
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() {
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		_ = conn.Close(ended, 1000, "")
	})
	return &peer{t, conn}, nil
}

func (p *peer) send(event string, args ...string) {
	p.t.Helper()
	text, _ := json.Marshal(map[string]any{"event": event, "args": append([]string{}, args...)})
	if err := p.conn.Write(p.t.Context(), text); err != nil {
		p.t.Error(err)
	}
}

// read reads frames until one that until likes, which is included.
func (p *peer) read(until func(frame string) bool) []string {
	p.t.Helper()
	var frames []string
	for {
		data, err := p.conn.Read(1 << 20)
		if err != nil {
			p.t.Fatalf("%v after %q", err, frames)
		}
		frames = append(frames, string(data))
		if until(string(data)) {
			return frames
		}
	}
}

// recording returns the incoming frames of a recorded case.
func recording(t *testing.T, name string) []string {
	t.Helper()
	return recorded.Frames(t, name)[name]
}

var (
	eventID = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	numbers = regexp.MustCompile(`\d+(\.\d+)?`)
)

// alike leaves of a frame what does not differ from one run to the next: times, counters and ids go.
func alike(frame string) string {
	frame = eventID.ReplaceAllString(frame, "ID")
	if strings.Contains(frame, `"stats"`) {
		frame = numbers.ReplaceAllString(frame, "N")
	}
	return frame
}

// first returns the frames up to the first that contains text, without the stats that come each second by themselves.
func first(frames []string, text string) (out []string) {
	for _, f := range frames {
		f = alike(f)
		if !strings.Contains(f, `"stats"`) || strings.Contains(f, `offline`) {
			out = append(out, f)
		}
		if strings.Contains(f, text) {
			return out
		}
	}
	return out
}

// The fake says what the recorded daemons said, byte for byte but for times and ids: connecting, a start, a refused
// start, and a token that has ended.
func TestFramesEqualTheRecordedOnes(t *testing.T) {
	for dir, dialect := range map[string]pterotest.Dialect{"ptero": pterotest.Pterodactyl, "pelican": pterotest.Pelican} {
		t.Run(dialect.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := pterotest.NewServer(pterotest.Config{Dialect: dialect, InMemory: true, Offline: true})
				defer srv.Close()
				token, socket := credentials(t, srv)
				p, err := dial(t, srv, socket, srv.Origin())
				if err != nil {
					t.Fatal(err)
				}
				p.send("auth", token)
				has := func(text string) func(string) bool {
					return func(frame string) bool { return strings.Contains(frame, text) }
				}
				got := p.read(has("stats"))
				p.send("set state", "start")
				got = append(got, p.read(has(`"running"`))...)
				time.Sleep(1500 * time.Millisecond)
				p.send("set state", "start")
				got = append(got, p.read(has("server is running"))...)
				want := recording(t, dir+"/03-power.jsonl")
				if diff := cmp.Diff(first(want, "server is running"), first(got, "server is running")); diff != "" {
					t.Errorf("power (-recorded +fake)\n%s", diff)
				}

				// Stats, as they come each second and as they are asked for, in their two orders of keys.
				stats := func(frames []string) (out []string) {
					for _, f := range frames {
						if f = alike(f); strings.Contains(f, `"stats"`) && strings.Contains(f, "running") && !slices.Contains(out, f) {
							out = append(out, f)
						}
					}
					slices.Sort(out)
					return out
				}
				p.send("send stats", "")
				gotStats := append(p.read(has(`"stats"`)), p.read(has(`"stats"`))...)
				if diff := cmp.Diff(stats(recording(t, dir+"/01-connect-running.jsonl")), stats(gotStats)); diff != "" {
					t.Errorf("stats (-recorded +fake)\n%s", diff)
				}

				srv.ExpireTokens()
				p.send("send command", "x")
				bare := p.read(has("jwt"))
				p.send("auth", token)
				refused := p.read(has("Error Event"))
				for _, f := range []string{alike(bare[len(bare)-1]), alike(refused[len(refused)-1])} {
					known := append(recording(t, dir+"/10-expiry.jsonl"), recording(t, dir+"/06-jwt-errors.jsonl")...)
					if !slices.ContainsFunc(known, func(r string) bool { return alike(r) == f }) {
						t.Errorf("never recorded: %s", f)
					}
				}
			})
		})
	}
}

// What a game prints is altered as the daemons alter it, live and in the replay.
func TestConsoleIsAlteredAsRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := pterotest.NewServer(pterotest.Config{InMemory: true})
		defer srv.Close()
		token, socket := credentials(t, srv)
		p, err := dial(t, srv, socket, srv.Origin())
		if err != nil {
			t.Fatal(err)
		}
		p.send("auth", token)
		p.read(func(f string) bool { return strings.Contains(f, "status") })
		printed := []string{`html <b>&amp;</b> & > " ' \ /`, "esc \x1b[31mred\x1b[0m", "latin1 caf\xe9", "", "mid \r return", "double \r\r end", "tab\tsep"}
		srv.Print(printed...)
		isTab := func(f string) bool { return strings.Contains(f, "tab") }
		live := p.read(isTab)
		p.send("send logs", "")
		replayed := p.read(isTab)
		known := recording(t, "ptero/04-console.jsonl")
		for _, f := range append(live, replayed...) {
			if !strings.Contains(f, "stats") && !slices.Contains(known, f) {
				t.Errorf("never recorded: %q", f)
			}
		}
		if len(live) != len(printed)-1 || len(replayed) != len(printed) {
			t.Errorf("%d live and %d replayed frames of %d lines", len(live), len(replayed), len(printed))
		}
	})
}

// Refused handshakes are answered with the recorded status, body and headers.
func TestRefusedHandshakes(t *testing.T) {
	srv := pterotest.NewServer(pterotest.Config{})
	defer srv.Close()
	_, socket := credentials(t, srv)
	url := "http" + strings.TrimPrefix(socket, "ws")
	for name, test := range map[string]struct {
		url, origin string
		status      int
	}{
		"wrong origin":   {url, "https://evil.example", 403},
		"trailing slash": {url, srv.Origin() + "/", 403},
		"no upgrade":     {url, srv.Origin(), 400},
		"unknown server": {strings.Replace(url, "a0000001-", "b0000001-", 1), srv.Origin(), 404},
	} {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, test.url, nil)
		req.Header.Set("Origin", test.origin)
		resp, err := srv.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != test.status {
			t.Errorf("%s: %d", name, resp.StatusCode)
		}
		found := false
		for _, c := range recordedHTTP(t) {
			found = found || c.Status == test.status && eventID.ReplaceAllString(c.Body, "ID") == eventID.ReplaceAllString(string(body), "ID") &&
				c.Headers.Get("Content-Type") == resp.Header.Get("Content-Type")
		}
		if !found {
			t.Errorf("%s: never recorded: %d %q %q", name, resp.StatusCode, resp.Header.Get("Content-Type"), body)
		}
	}
}

type httpCase struct {
	Status  int
	Body    string
	Headers http.Header
}

func recordedHTTP(t *testing.T) (cases []httpCase) {
	t.Helper()
	text, err := os.ReadFile("../../testdata/ptero/16-http.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var c httpCase
		if err := json.Unmarshal([]byte(line), &c); err != nil {
			t.Fatal(err)
		}
		cases = append(cases, c)
	}
	return cases
}

// Pelican's limits: beyond them messages are dropped, and throttled is said once a stretch.
func TestLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := pterotest.NewServer(pterotest.Config{Dialect: pterotest.Pelican, InMemory: true})
		defer srv.Close()
		token, socket := credentials(t, srv)
		p, err := dial(t, srv, socket, srv.Origin())
		if err != nil {
			t.Fatal(err)
		}
		p.send("auth", token)
		p.read(func(f string) bool { return strings.Contains(f, "status") })
		time.Sleep(10 * time.Second)
		for range 50 {
			p.send("send command", "x")
		}
		frames := p.read(func(f string) bool { return strings.Contains(f, "throttled") })
		if got := frames[len(frames)-1]; got != `{"event":"throttled","args":["global"]}`+"\n" {
			t.Errorf("%q", got)
		}
		synctest.Wait()
		if n, d := len(srv.Commands()), srv.Dropped(); n != 10 || d.Global != 40 {
			t.Errorf("%d executed, dropped %+v", n, d)
		}
	})
}
