package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A buffer may be read while the program writes.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// find waits until the pattern matches, and returns its first group.
func (b *buffer) find(t *testing.T, pattern string) string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if m := re.FindStringSubmatch(b.String()); m != nil {
			return m[len(m)-1]
		}
	}
	t.Fatalf("%s never came in:\n%s", pattern, b)
	return ""
}

func env(values ...string) func(string) string {
	return func(name string) string {
		for _, v := range values {
			if key, value, _ := strings.Cut(v, "="); key == name {
				return value
			}
		}
		return ""
	}
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// The first run needs nothing; the other sub-commands talk to it; the end hands over.
func TestFirstRun(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var stderr buffer
	var running sync.WaitGroup
	status := -1
	args := []string{"-listen", "127.0.0.1:0", "-store", t.TempDir(), "-metrics", "127.0.0.1:0", "-lease", "2s", "-name", "first"}
	running.Go(func() { status = run(ctx, args, env(), io.Discard, &stderr) })
	url := stderr.find(t, `at (nats://127.0.0.1:\d+),`)
	address := stderr.find(t, `address=(\S+)`)
	stderr.find(t, `took over partitions`)
	through := func(limit time.Duration, args ...string) string {
		t.Helper()
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		var stdout, stderr buffer
		if status := run(ctx, append([]string{"-nats", url, "-idle", "100ms"}, args...), env(), &stdout, &stderr); status != 0 {
			t.Errorf("%v ends with %d: %s", args, status, &stderr)
		}
		return stdout.String()
	}
	for end := time.Now().Add(time.Minute); strings.Count(through(20*time.Second, "servers"), "running") < 4; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the servers:\n%s", through(20*time.Second, "servers"))
		}
	}
	if out := through(3*time.Second, "watch", "a0000001"); !regexp.MustCompile(`(?m)^a0000001 \[1\] Alex: hello number \d+$`).MatchString(out) {
		t.Errorf("watch: %q", out)
	}
	if out := through(3*time.Second, "-json", "watch"); !strings.Contains(out, `"event":"stats"`) {
		t.Errorf("watch -json: %q", out)
	}
	if out := through(30*time.Second, "run", "a0000001", "list"); !strings.Contains(out, "players online") {
		t.Errorf("run: %q", out)
	}
	if out := through(30*time.Second, "power", "a0000002", "stop"); out != "offline\n" {
		t.Errorf("power: %q", out)
	}
	if status, body := get(t, "http://"+address+"/healthz"); status != 200 || body != "ok: 64 partitions, 1 relays\n" {
		t.Errorf("/healthz: %d %s", status, body)
	}
	_, body := get(t, "http://"+address+"/metrics")
	for _, want := range []string{"pterorelay_partitions 64", "pterorelay_nats_connected 1", `connected{server="a0000003"} 1`} {
		if !strings.Contains(body, want) {
			t.Errorf("/metrics has no %s", want)
		}
	}
	cancel()
	running.Wait()
	if status != 0 {
		t.Errorf("the relay ends with %d: %s", status, &stderr)
	}
}

// What is wrong is said, and how it is right.
func TestWrongArguments(t *testing.T) {
	for _, test := range []struct {
		args   string
		env    []string
		status int
		want   string
	}{
		{"-help", nil, 0, "start it on several machines"},
		{"-nonsense", nil, 2, "see pterorelay -help"},
		{"-log xml", nil, 2, "text or json"},
		{"watch", nil, 2, "needs -nats"},
		{"-nats nats://127.0.0.1:1", nil, 2, "missing: PTERO_ORIGIN and PTERO_API_KEY"},
		{"", []string{"PTERO_ORIGIN=https://panel.example.com"}, 2, "PTERO_API_KEY"},
		{"-nats nats://127.0.0.1:1 run a", nil, 2, "takes 2 arguments"},
		{"-nats nats://127.0.0.1:1 power a jump", nil, 2, "start, stop, restart or kill"},
		{"-nats nats://127.0.0.1:1 dance", nil, 2, "no sub-command"},
		{"-tlscert a", nil, 2, "go together"},
		{"-for -1s", nil, 2, "negative"},
		{"-nats nats://user:hunter2@127.0.0.1:1 servers", nil, 1, "connecting to NATS at nats://...@127.0.0.1:1"},
		{"-listen 256.0.0.1:1", nil, 1, "-listen"},
		{"-listen 127.0.0.1:0 -store /dev/null/x", nil, 1, "NATS server inside"},
	} {
		var stdout, stderr buffer
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		status := run(ctx, strings.Fields(test.args), env(test.env...), &stdout, &stderr)
		cancel()
		if status != test.status || !strings.Contains(stderr.String(), test.want) || strings.Contains(stderr.String(), "hunter2") {
			t.Errorf("%s: %d, %s", fmt.Sprint(test.env, test.args), status, &stderr)
		}
	}
}
