package pterosocket_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pterosocket/pterosocket-go/pterosocket"
	"github.com/pterosocket/pterosocket-go/pterosocket/pterotest"
)

// A daemon without limits, which starts a goroutine for each message and schedules them as it likes, behind a network
// that forwards what it has got only now and then, or while the console floods the way back: commands run in the order
// of the calls.
func TestOrderOnAnyNetwork(t *testing.T) {
	for name, test := range map[string]struct {
		bunch time.Duration
		flood int // lines a second
	}{
		"calm":              {},
		"bunches of 10 ms":  {bunch: 10 * time.Millisecond},
		"bunches of 50 ms":  {bunch: 50 * time.Millisecond},
		"a flood":           {flood: 5000},
		"bunches and flood": {bunch: 10 * time.Millisecond, flood: 1000},
	} {
		t.Run(name, func(t *testing.T) {
			fake := pterotest.Config{Bunch: test.bunch, Reorder: true, Game: func(string) []string { return nil }}
			virtual(t, fake, func(t *testing.T, srv *pterotest.Server) {
				n := 2000
				if testing.Short() {
					n = 200
				}
				c := connect(t, config(srv))
				stop := make(chan struct{})
				var background sync.WaitGroup
				if test.flood > 0 {
					background.Go(func() { flood(srv, test.flood, stop) })
					background.Go(func() {
						for range c.events {
						}
					})
				}
				var called []string
				var last <-chan error
				for i := range n {
					command := fmt.Sprint(i)
					called = append(called, command)
					last = c.Submit(t.Context(), pterosocket.CommandPacket(command))
					if i%100 == 99 {
						must(t, <-last)
					}
				}
				must(t, <-last)
				time.Sleep(time.Second)
				if diff := cmp.Diff(called, srv.Commands()); diff != "" {
					t.Errorf("commands (-called +executed)\n%s", diff)
				}
				close(stop)
				must(t, c.Close())
				background.Wait()
			})
		})
	}
}

func flood(srv *pterotest.Server, perSecond int, stop <-chan struct{}) {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	lines := make([]string, perSecond/100)
	for i := 0; ; i++ {
		for j := range lines {
			lines[j] = fmt.Sprint("flood ", i, " ", j)
		}
		srv.Print(lines...)
		select {
		case <-ticker.C:
		case <-stop:
			return
		}
	}
}

// The rates of the daemons are kept unless the token says that its daemon has none.
func TestLimitsFindOutByThemselves(t *testing.T) {
	for _, test := range []struct {
		dialect pterotest.Dialect
		limited bool
	}{{pterotest.Pterodactyl, false}, {pterotest.Pelican, true}, {pterotest.Calagopus, true}} {
		t.Run(test.dialect.String(), func(t *testing.T) {
			virtual(t, pterotest.Config{Dialect: test.dialect}, func(t *testing.T, srv *pterotest.Server) {
				c := connect(t, config(srv))
				start := time.Now()
				for i := range 20 {
					must(t, c.WriteCommand(t.Context(), fmt.Sprint(i)))
				}
				if d := time.Since(start); (d > 5*time.Second) != test.limited {
					t.Errorf("20 commands took %v", d)
				}
			})
		})
	}
}

// A kill waits behind nothing, not even for the rate of commands.
func TestKillGoesFirst(t *testing.T) {
	virtual(t, pterotest.Config{Dialect: pterotest.Pelican}, func(t *testing.T, srv *pterotest.Server) {
		c := connect(t, config(srv))
		for i := range 50 {
			c.Submit(t.Context(), pterosocket.CommandPacket(fmt.Sprint(i)))
		}
		waitFor(t, srv, func() bool { return len(srv.Commands()) == 8 })
		start := time.Now()
		must(t, c.WritePower(t.Context(), pterosocket.PowerKill))
		if d := time.Since(start); d > 100*time.Millisecond {
			t.Errorf("the kill waited for %v", d)
		}
	})
}

// The queue of a connection is bounded.
func TestQueueIsBounded(t *testing.T) {
	virtual(t, pterotest.Config{Dialect: pterotest.Pelican}, func(t *testing.T, srv *pterotest.Server) {
		c := connect(t, config(srv))
		var full int
		results := make([]<-chan error, 1200)
		for i := range results {
			results[i] = c.Submit(t.Context(), pterosocket.CommandPacket(fmt.Sprint(i)))
		}
		for _, r := range results {
			select {
			case err := <-r:
				if err != nil {
					wantError(t, err, pterosocket.ErrQueueFull)
					wantError(t, err, pterosocket.ErrNotSent)
					full++
				}
			default:
			}
		}
		if full < 1200-1024-8 || full > 1200-1024 {
			t.Errorf("%d of 1,200 were refused", full)
		}
	})
}

// A daemon that accepts and refuses a token in turns does not make the library ask for stats without end.
func TestStatsAreAskedForOnceAtATime(t *testing.T) {
	virtual(t, pterotest.Config{Dialect: pterotest.Pelican, Offline: true}, func(t *testing.T, srv *pterotest.Server) {
		connect(t, config(srv))
		time.Sleep(time.Minute)
		for range 1000 {
			srv.EmitRaw(`{"event":"jwt error","args":["jwt: exp claim is invalid"]}`)
			srv.EmitRaw(`{"event":"auth success"}`)
		}
		time.Sleep(10 * time.Minute)
		asked := slices.DeleteFunc(srv.Received(), func(m pterotest.Message) bool { return m.Event != "send stats" })
		if len(asked) > 30 {
			t.Errorf("stats were asked for %d times", len(asked))
		}
	})
}
