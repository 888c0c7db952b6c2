package main

import (
	"sync"
	"time"

	"github.com/pterosocket/pterosocket-go/pterosocket/pterotest"
)

const demoNotice = `* No panel given: this is a fake one inside the program, with six servers on two nodes, one of which crashes now and then.
* For a real one:
*   PTERO_ORIGIN=https://panel.example.com PTERO_API_KEY=ptlc_... PTERO_SERVER=1a2b3c4d pteroconsole
* Try: list, say hello, time, :restart, :stats, :graph, :help; or begin with: pteroconsole top
`

// demo is a fake panel with a little life on its servers.
type demo struct {
	*pterotest.Server // the first of them
	stop              chan struct{}
	done              sync.WaitGroup
}

func startDemo() *demo {
	first := newGame("survival", 8)
	d := &demo{stop: make(chan struct{})}
	d.Server = pterotest.NewServer(pterotest.Config{
		Offline:    true,
		StartDelay: 700 * time.Millisecond,
		StartLines: []string{
			"Starting demo game server version 1.0",
			"Loading world \x1b[32m\"world\"\x1b[0m",
			"Preparing spawn area: \x1b[33m42%\x1b[0m",
			`Done! For help, type "help"`,
		},
		Game:  first.command,
		Stats: first.stats,
	})
	d.SetName(first.name)
	d.begin(first, d.Server)
	for i, g := range []*game{newGame("creative", 6), newGame("lobby", 30), newGame("skyblock", 4), newGame("minigames", 5), newGame("modded", 3)} {
		g.crashes = g.name == "modded"
		s := d.AddServer(pterotest.ServerConfig{Name: g.name, Node: i % 2, Offline: true, Game: g.command, Stats: g.stats})
		d.begin(g, s)
	}
	return d
}

// begin starts a server, but one that is left to the user to start, and the life on it.
func (d *demo) begin(g *game, s *pterotest.Server) {
	if g.name != "minigames" {
		_ = s.Power("start") // it is offline, so it starts
	}
	d.done.Go(func() { g.live(s, d.stop) })
}

// Close ends the games and the fake.
func (d *demo) Close() {
	close(d.stop)
	d.done.Wait()
	d.Server.Close()
}
