package main

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/pterosocket/pterosocket-go/pterosocket"
	"github.com/pterosocket/pterosocket-go/pterosocket/pterotest"
)

// manyServers is a panel with three servers, and what asks it for all of them.
func manyServers(t *testing.T) (*pterotest.Server, *pterotest.Server, map[string]string) {
	srv := pterotest.NewServer(pterotest.Config{})
	t.Cleanup(srv.Close)
	other := srv.AddServer(pterotest.ServerConfig{Name: "Second\x1b[31m", Node: 1})
	srv.AddServer(pterotest.ServerConfig{Offline: true}).Suspend()
	env := panelEnv(srv)
	delete(env, "PTERO_SERVER")
	return srv, other, env
}

// Lines of all servers come behind their identifiers; lines of standard input name the server that they are for.
func TestFleetInAPipe(t *testing.T) {
	srv, other, env := manyServers(t)
	p := start(t, env, "-all")
	p.stderr.wait(t, other.ServerID()+" the server is running\n")
	p.stderr.wait(t, srv.ServerID()+" the server is running\n")
	fmt.Fprintf(p.stdin, "%s say \x1b[31mhi\n%s :restart\nnobody list\n", other.ServerID(), srv.ServerID())
	p.stdout.wait(t, other.ServerID()+" say hi\n")
	p.stdout.wait(t, srv.ServerID()+" Done (0.150s)!")
	p.stderr.wait(t, `the fleet has no server "nobody"`)
	io.WriteString(p.stdin, ":quit\n")
	if status := <-p.status; status != 0 || strings.Contains(p.stdout.String()+p.stderr.String(), "\x1b") {
		t.Errorf("status %d\n%q\n%q", status, p.stdout, p.stderr)
	}
}

func TestFleetAsJSON(t *testing.T) {
	srv, other, env := manyServers(t)
	p := start(t, env, "-json", "-server", srv.ServerID()+", "+other.UUID())
	p.stdout.wait(t, `"event":"stats"`)
	other.Print("hello")
	p.stdout.wait(t, `"line":"hello"`)
	p.interrupt()
	if status := <-p.status; status != 0 {
		t.Errorf("status %d\n%s", status, p.stderr)
	}
	last := make(map[string]string)
	for line := range strings.SplitSeq(strings.TrimSpace(p.stdout.String()), "\n") {
		ev, err := pterosocket.UnmarshalFleetEvent([]byte(line))
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		last[ev.Server] = ev.Event.Name()
	}
	if len(last) != 2 || last[srv.ServerID()] != "close" || last[other.ServerID()] != "close" {
		t.Errorf("%v", last)
	}
}

func TestServers(t *testing.T) {
	srv, other, env := manyServers(t)
	p := start(t, env, "servers")
	if status := <-p.status; status != 0 {
		t.Fatalf("status %d\n%s", status, p.stderr)
	}
	text := p.stdout.String()
	for _, want := range []string{srv.ServerID(), other.ServerID() + "  Second", "Node 2", "1024 MiB", "suspended"} {
		if !strings.Contains(text, want) || strings.Contains(text, "\x1b") {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

func TestFleetArguments(t *testing.T) {
	_, _, env := manyServers(t)
	for args, says := range map[string]string{
		"-all run list":          "run is for one server",
		"-server a,b power stop": "power is for one server",
		"servers now":            "none of",
		"":                       "missing: -server",
		"-all -key wrong":        "check the API key",
		"-server a/b,c":          "letters, digits and hyphens",
	} {
		p := start(t, env, strings.Fields(args)...)
		if status := <-p.status; status == 0 || !strings.Contains(p.stderr.String(), says) {
			t.Errorf("%q: status %d\n%s", args, status, p.stderr)
		}
	}
}
