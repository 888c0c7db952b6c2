package main

import (
	"fmt"
	"sync"
	"time"

	"github.com/pterosocket/pterosocket-go/pterosocket/pterotest"
)

// A fake is a fake panel with a little life on its servers.
type fake struct {
	*pterotest.Server
	stop chan struct{}
	done sync.WaitGroup
}

func startFake() *fake {
	game := func(command string) []string {
		if command == "list" {
			return []string{"There are 2 of a max of 20 players online: Alex, Steve"}
		}
		return []string{"Unknown command: " + command}
	}
	f := &fake{stop: make(chan struct{})}
	f.Server = pterotest.NewServer(pterotest.Config{Game: game})
	f.SetName("survival")
	servers := []*pterotest.Server{f.Server}
	for i, name := range []string{"creative", "lobby", "skyblock"} {
		servers = append(servers, f.AddServer(pterotest.ServerConfig{Name: name, Node: i % 2}))
	}
	for i, s := range servers {
		f.done.Go(func() {
			ticker := time.NewTicker(time.Duration(700+300*i) * time.Millisecond)
			defer ticker.Stop()
			for n := 1; ; n++ {
				select {
				case <-ticker.C:
					if s.State() == "running" {
						s.Print(fmt.Sprintf("[%d] Alex: hello number %d", i+1, n))
					}
				case <-f.stop:
					return
				}
			}
		})
	}
	return f
}

// Close ends the games and the panel.
func (f *fake) Close() {
	close(f.stop)
	f.done.Wait()
	f.Server.Close()
}
