package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pterosocket/pterosocket-go/pterosocket/pterotest"
)

const demoNotice = `* No panel given: this is a fake one inside the program, with a small game in it. For a real server:
*   PTERO_ORIGIN=https://panel.example.com PTERO_API_KEY=ptlc_... PTERO_SERVER=1a2b3c4d pteroconsole
* Try: list, say hello, time, :restart, :stats, :help
`

// demo is a fake server with a little life in it.
type demo struct {
	*pterotest.Server
	stop chan struct{}
	done sync.WaitGroup

	mu      sync.Mutex
	players []string
}

var everybody = []string{"Alex", "Steve", "Nadia", "Tomás", "Mei", "Oluwaseun", "Kalle", "Priya"}

func startDemo() *demo {
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
		Game: d.command,
		Stats: func(state string, uptime time.Duration) pterotest.Stats {
			d.mu.Lock()
			n := len(d.players)
			d.mu.Unlock()
			seconds := uint64(uptime.Seconds())
			return pterotest.Stats{
				MemoryBytes: uint64(700+40*n)<<20 + rand.Uint64N(8<<20), MemoryLimitBytes: 2 << 30,
				CPUAbsolute: 2.5 + float64(n)*3.1 + rand.Float64()*2,
				RxBytes:     1200 * seconds * uint64(n+1), TxBytes: 3400 * seconds * uint64(n+1), DiskBytes: 1 << 30,
			}
		},
	})
	for i, name := range []string{"lobby", "creative"} {
		d.AddServer(pterotest.ServerConfig{Name: name, Node: i, Offline: name == "creative", Game: d.command})
	}
	d.SetName("survival")
	_ = d.Power("start") // it is offline, so it starts
	d.done.Go(d.live)
	return d
}

// Close ends the game and the fake.
func (d *demo) Close() {
	close(d.stop)
	d.done.Wait()
	d.Server.Close()
}

// stamp puts the time before a line, as games do.
func stamp(text string) string { return time.Now().Format("[15:04:05] ") + text }

// live lets players come, talk and go.
func (d *demo) live() {
	ticker := time.NewTicker(900 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-d.stop:
			return
		}
		if d.State() != "running" {
			d.mu.Lock()
			d.players = nil
			d.mu.Unlock()
			continue
		}
		d.Print(stamp(d.happen()))
	}
}

func (d *demo) happen() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	absent := slices.DeleteFunc(slices.Clone(everybody), func(name string) bool { return slices.Contains(d.players, name) })
	switch n := rand.IntN(4); {
	case len(d.players) == 0 || n == 0 && len(absent) > 0:
		name := absent[rand.IntN(len(absent))]
		d.players = append(d.players, name)
		return "\x1b[93m" + name + " joined the game\x1b[0m"
	case n == 1 && len(d.players) > 1:
		i := rand.IntN(len(d.players))
		name := d.players[i]
		d.players = slices.Delete(d.players, i, i+1)
		return "\x1b[93m" + name + " left the game\x1b[0m"
	default:
		said := []string{"hello there", "anyone near spawn?", "brb", "nice base", "who took my sheep", "gg"}
		return "\x1b[36m<" + d.players[rand.IntN(len(d.players))] + ">\x1b[0m " + said[rand.IntN(len(said))]
	}
}

// command is the game's answer.
func (d *demo) command(line string) []string {
	name, rest, _ := strings.Cut(line, " ")
	switch name {
	case "list":
		d.mu.Lock()
		defer d.mu.Unlock()
		return []string{stamp(fmt.Sprintf("There are %d of a max of %d players online: %s", len(d.players), len(everybody), strings.Join(d.players, ", ")))}
	case "say":
		return []string{stamp("[Server] " + rest)}
	case "time":
		return []string{stamp("The time is " + time.Now().Format(time.Kitchen))}
	case "help":
		return []string{stamp("list, say <text>, time, stop, help")}
	}
	return []string{stamp("\x1b[31mUnknown command: " + name + "\x1b[0m")}
}
