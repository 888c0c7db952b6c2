package pterotest_test

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pterosocket/pterosocket-go/pterosocket/pterotest"
)

// Calagopus was not recorded, so its dialect is held against what its source says, one peculiarity after the other.
func calagopus(t *testing.T, play func(t *testing.T, srv *pterotest.Server, p *peer, said func() []string, token string)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		srv := pterotest.NewServer(pterotest.Config{Dialect: pterotest.Calagopus, InMemory: true, Permissions: []string{"websocket.connect", "control.console", "backup.read"}})
		defer srv.Close()
		token, socket := credentials(t, srv)
		p, err := dial(t, srv, socket, "https://nobody.asked") // the Origin is not checked
		if err != nil {
			t.Fatal(err)
		}
		play(t, srv, p, p.listen(), token)
	})
}

func wantFrames(t *testing.T, said func() []string, want ...string) {
	t.Helper()
	var got []string
	for _, f := range said() {
		if f = strings.TrimSpace(f); !strings.Contains(f, `"stats"`) {
			got = append(got, f)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestCalagopusCredentialsAreFlat(t *testing.T) {
	srv := pterotest.NewServer(pterotest.Config{Dialect: pterotest.Calagopus})
	defer srv.Close()
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.Origin()+"/api/client/servers/"+srv.ServerID()+"/websocket", nil)
	req.Header.Set("Authorization", "Bearer "+srv.APIKey())
	resp, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	var flat map[string]string
	if err := json.Unmarshal(text, &flat); err != nil || len(flat) != 2 || flat["token"] == "" || !strings.HasPrefix(flat["url"], "ws://") {
		t.Errorf("%s", text)
	}
}

func TestCalagopusTellsPermissionsAndReadsOneArgument(t *testing.T) {
	calagopus(t, func(t *testing.T, srv *pterotest.Server, p *peer, said func() []string, token string) {
		p.sendText(`{"event":"auth"}`) // without args: ignored
		p.send("auth", token)
		wantFrames(t, said, `{"event":"auth success","args":["websocket.connect","control.console","backup.read"]}`, `{"event":"status","args":["running"]}`)
		p.send("send command", "one", "two")
		wantFrames(t, said, `{"event":"console output","args":["one"]}`)
		if got := srv.Commands(); !slices.Equal(got, []string{"one"}) {
			t.Errorf("executed %q", got)
		}
	})
}

func TestCalagopusTellsOutcomes(t *testing.T) {
	calagopus(t, func(t *testing.T, srv *pterotest.Server, p *peer, said func() []string, token string) {
		p.send("auth", token)
		synctest.Wait()
		said()
		srv.Emit("install completed", "false")
		srv.RestoreBackup(true)
		srv.Backup(pterotest.Backup{UUID: "abc", Successful: true, Checksum: "c", ChecksumType: "sha1", Size: 35})
		wantFrames(t, said,
			`{"event":"install completed","args":["false"]}`,
			`{"event":"daemon message","args":["Completed server restoration from local backup."]}`,
			`{"event":"backup restore completed","args":["true"]}`,
			`{"event":"backup completed","args":["abc","{\"checksum\":\"c\",\"checksum_type\":\"sha1\",\"size\":35,\"successful\":true}"]}`,
		)
	})
}

// At expiry it says so, the console stops, stats go on, and the next frame that is not an auth closes the socket.
func TestCalagopusExpiry(t *testing.T) {
	calagopus(t, func(t *testing.T, srv *pterotest.Server, p *peer, said func() []string, token string) {
		p.send("auth", token)
		synctest.Wait()
		said()
		time.Sleep(11 * time.Minute)
		frames := said()
		if slices.ContainsFunc(frames, func(f string) bool { return strings.Contains(f, "expiring") || strings.Contains(f, "jwt") }) ||
			!slices.Contains(frames, `{"event":"token expired"}`+"\n") {
			t.Errorf("no token expired in the last of %q", frames[max(0, len(frames)-3):])
		}
		srv.Print("lost")
		time.Sleep(5 * time.Second)
		if frames := said(); len(frames) < 4 || slices.ContainsFunc(frames, func(f string) bool { return !strings.Contains(f, `"stats"`) }) {
			t.Errorf("after the end came %q", frames)
		}
		p.send("send command", "x")
		wantFrames(t, said, `close 1000 "token expired"`)
	})
}

func TestCalagopusCloses(t *testing.T) {
	t.Run("without auth", func(t *testing.T) {
		calagopus(t, func(t *testing.T, _ *pterotest.Server, _ *peer, said func() []string, _ string) {
			time.Sleep(time.Minute)
			wantFrames(t, said, `close 1000 "authentication timeout"`)
		})
	})
	t.Run("revoked", func(t *testing.T) {
		calagopus(t, func(t *testing.T, srv *pterotest.Server, p *peer, said func() []string, token string) {
			p.send("auth", token)
			synctest.Wait()
			said()
			srv.Revoke()
			wantFrames(t, said, `close 1000 "permission revoked"`)
		})
	})
}

// It pings every 30 s, and drops who does not answer twice.
func TestCalagopusPings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := pterotest.NewServer(pterotest.Config{Dialect: pterotest.Calagopus, InMemory: true})
		defer srv.Close()
		token, socket := credentials(t, srv)
		p, err := dial(t, srv, socket, srv.Origin())
		if err != nil {
			t.Fatal(err)
		}
		p.send("auth", token)
		p.read(func(f string) bool { return strings.Contains(f, "status") })
		time.Sleep(25 * time.Second) // nobody reads, so nobody answers pings
		if n := srv.Connections(); n != 1 {
			t.Errorf("%d connections before a ping was missed", n)
		}
		time.Sleep(2 * time.Minute)
		if n := srv.Connections(); n != 0 {
			t.Errorf("%d connections after four missed pings", n)
		}
	})
}
