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

// A game is what runs on a server of the demo: players come, talk and go.
type game struct {
	name    string
	pace    time.Duration // from one event to the next
	crashes bool

	mu      sync.Mutex
	players []string
}

// newGame returns a game in which so many things happen in ten seconds.
func newGame(name string, events int) *game {
	return &game{name: name, pace: 10 * time.Second / time.Duration(events)}
}

var everybody = []string{"Alex", "Steve", "Nadia", "Tomás", "Mei", "Oluwaseun", "Kalle", "Priya"}

// stamp puts the time before a line, as games do.
func stamp(text string) string { return time.Now().Format("[15:04:05] ") + text }

// crashEvery is how long the game that crashes runs, and upAgain how long it is down then.
const (
	crashEvery = 25 * time.Second
	upAgain    = 6 * time.Second
)

// live lets things happen on s until stop is closed.
func (g *game) live(s *pterotest.Server, stop <-chan struct{}) {
	ticker := time.NewTicker(g.pace)
	defer ticker.Stop()
	running := time.Now() // since then, or not since then
	for {
		select {
		case <-ticker.C:
		case <-stop:
			return
		}
		switch state := s.State(); {
		case state == "running" && g.crashes && time.Since(running) > crashEvery:
			s.Print(stamp("\x1b[31mException in server tick loop"), "\tat mods.flux.Capacitor.tick(Capacitor.java:88)", stamp("\x1b[31mThe server has crashed"))
			s.SetState("offline")
			g.everybodyLeaves()
			running = time.Now()
		case state == "running":
			s.Print(stamp(g.happen()))
		case state == "offline" && g.crashes && time.Since(running) > upAgain:
			_ = s.Power("start") // if somebody else has started it meanwhile, so much the better
			running = time.Now()
		default:
			g.everybodyLeaves()
		}
	}
}

func (g *game) everybodyLeaves() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.players = nil
}

// happen lets something happen, and says what.
func (g *game) happen() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	absent := slices.DeleteFunc(slices.Clone(everybody), func(name string) bool { return slices.Contains(g.players, name) })
	switch n := rand.IntN(4); {
	case len(g.players) == 0 || n == 0 && len(absent) > 0:
		name := absent[rand.IntN(len(absent))]
		g.players = append(g.players, name)
		return "\x1b[93m" + name + " joined the game\x1b[0m"
	case n == 1 && len(g.players) > 1:
		i := rand.IntN(len(g.players))
		name := g.players[i]
		g.players = slices.Delete(g.players, i, i+1)
		return "\x1b[93m" + name + " left the game\x1b[0m"
	default:
		said := []string{"hello there", "anyone near spawn?", "brb", "nice base", "who took my sheep", "gg"}
		return "\x1b[36m<" + g.players[rand.IntN(len(g.players))] + ">\x1b[0m " + said[rand.IntN(len(said))]
	}
}

// command is the game's answer.
func (g *game) command(line string) []string {
	name, rest, _ := strings.Cut(line, " ")
	switch name {
	case "list":
		g.mu.Lock()
		defer g.mu.Unlock()
		return []string{stamp(fmt.Sprintf("There are %d of a max of %d players online: %s", len(g.players), len(everybody), strings.Join(g.players, ", ")))}
	case "say":
		return []string{stamp("[Server] " + rest)}
	case "time":
		return []string{stamp("The time is " + time.Now().Format(time.Kitchen))}
	case "help":
		return []string{stamp("list, say <text>, time, stop, help")}
	}
	return []string{stamp("\x1b[31mUnknown command: " + name + "\x1b[0m")}
}

// stats are what the players cost.
func (g *game) stats(_ string, uptime time.Duration) pterotest.Stats {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := len(g.players)
	traffic := uint64(uptime.Seconds() * float64(10*time.Second/g.pace) * 300)
	s := pterotest.Stats{
		MemoryBytes: uint64(700+40*n)<<20 + rand.Uint64N(8<<20), MemoryLimitBytes: 2 << 30,
		CPUAbsolute: 2.5 + float64(n)*3.1 + rand.Float64()*float64(4+2*n),
		RxBytes:     traffic, TxBytes: 3 * traffic, DiskBytes: 1 << 30,
	}
	if g.crashes { // it leaks
		s.MemoryBytes += uint64(min(uptime, crashEvery).Seconds() * 30e6)
	}
	return s
}
