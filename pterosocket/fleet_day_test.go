package pterosocket_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pterosocket/pterosocket-go/pterosocket"
	"github.com/pterosocket/pterosocket-go/pterosocket/pterotest"
)

// A fleet in a bubble, for hours, or, when make fleet asks for it, a thousand servers for a day: with daemons that
// restart, one that is down for an hour, a panel that is out of order, and servers that come and go. Every line is
// counted.
func TestFleetDay(t *testing.T) {
	servers, nodes, length := 60, 5, 3*time.Hour
	switch {
	case os.Getenv("PTERO_FLEET") == "long":
		servers, nodes, length = 1000, 20, 24*time.Hour
	case testing.Short():
		servers = 20
	}
	fake := pterotest.Config{PanelLimit: 240, StatsEvery: 2 * time.Minute, StartDelay: time.Second}
	virtual(t, fake, func(t *testing.T, srv *pterotest.Server) {
		day := &fleetDay{t: t, srv: srv, r: rand.New(rand.NewPCG(chaosSeed(t), 3)), expected: make(map[string]int), printed: make(map[string]int), suspended: make(map[string]bool)}
		day.add(srv)
		for i := range servers - 1 {
			day.add(srv.AddServer(pterotest.ServerConfig{Node: i % nodes}))
		}
		events, fleet, err := pterosocket.ConnectFleet(t.Context(), fleetConfig(srv))
		must(t, err)
		var watching sync.WaitGroup
		watching.Go(func() { day.watch(events) })
		must(t, fleet.Ready(t.Context()))
		goroutines, memory := runtime.NumGoroutine(), inUse()
		day.live(fleet, nodes, length)
		time.Sleep(15 * time.Minute)
		must(t, fleet.Ready(t.Context()))
		time.Sleep(time.Minute)
		synctest.Wait()
		more := len(fleet.Snapshot()) - servers
		if n := runtime.NumGoroutine() - goroutines; n > 12*max(more, 0)+servers/5 {
			t.Errorf("%d goroutines more, for %d servers more", n, more)
		}
		if grown := inUse() - memory; grown > int64(16<<20+servers*64<<10) { // the fake's histories grow too, to 150 lines each
			t.Errorf("%d MiB more are in use", grown>>20)
		}
		m := fleet.Metrics()
		must(t, fleet.Close())
		watching.Wait()
		day.judge(m)
	})
}

func inUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse)
}

// A fleetDay is what happens to a fleet, and what comes of it.
type fleetDay struct {
	t       *testing.T
	srv     *pterotest.Server
	r       *rand.Rand
	servers []*pterotest.Server

	mu        sync.Mutex
	expected  map[string]int // the next line of each server
	printed   map[string]int
	lost      int // behind a Gap or a Lagged
	doubled   int
	silent    int // lost without one
	gaps      int
	ended     int // tokens that ended unrenewed
	panelOut  bool
	suspended map[string]bool // those servers get no tokens
	backAt    time.Time       // when the panel was back
}

func (d *fleetDay) add(s *pterotest.Server) {
	d.servers = append(d.servers, s)
}

// print lets some of the servers print.
func (d *fleetDay) print() {
	for _, s := range d.servers {
		if d.r.IntN(4) > 0 || s.State() != "running" {
			continue
		}
		d.mu.Lock()
		n := d.printed[s.ServerID()]
		d.printed[s.ServerID()]++
		d.mu.Unlock()
		s.Print(fmt.Sprint("line ", n))
	}
}

// live lets length pass.
func (d *fleetDay) live(fleet *pterosocket.Fleet, nodes int, length time.Duration) {
	start := time.Now()
	var down int // the node that is down for an hour
	for minute := 1; time.Since(start) < length; minute++ {
		d.print()
		for _, s := range d.servers {
			s.ForgetReceived() // what the fake remembers is not what is measured
		}
		time.Sleep(time.Minute)
		any := d.servers[d.r.IntN(len(d.servers))]
		switch minute % 180 {
		case 10, 70:
			d.srv.RestartNode(d.r.IntN(nodes))
		case 20:
			down = 1 + d.r.IntN(nodes-1)
			d.srv.SetNodeDown(down, true)
		case 80:
			d.srv.SetNodeDown(down, false)
		case 100:
			d.panelIs(http.StatusServiceUnavailable)
		case 105:
			d.panelIs(http.StatusTooManyRequests)
		case 110:
			d.panelIs(http.StatusOK)
		case 120:
			d.mu.Lock()
			d.suspended[any.ServerID()] = true
			d.mu.Unlock()
			any.Suspend()
		case 135:
			for _, s := range d.servers {
				if s.Suspended() {
					s.Unsuspend()
					s.SetState("running")
				}
			}
			d.mu.Lock()
			clear(d.suspended)
			d.mu.Unlock()
		case 140:
			d.add(d.srv.AddServer(pterotest.ServerConfig{Node: d.r.IntN(nodes)}))
		case 150:
			must(d.t, fleet.Remove(any.ServerID()))
		case 152:
			must(d.t, fleet.Add(d.t.Context(), any.ServerID()))
		case 160:
			if any != d.srv {
				any.SetState("offline")
				any.Delete(true)
			}
		}
	}
}

// panelIs lets the panel answer everything with a status; 200: as usual.
func (d *fleetDay) panelIs(status int) {
	d.srv.ResetPanel()
	d.mu.Lock()
	d.panelOut, d.backAt = status != http.StatusOK, time.Now()
	d.mu.Unlock()
	if status == http.StatusOK {
		return
	}
	d.srv.InterceptPanel(func(w http.ResponseWriter, _ *http.Request) bool {
		if status == http.StatusTooManyRequests {
			w.Header().Set("Retry-After", "30")
		}
		w.WriteHeader(status)
		return true
	})
}

// watch takes the events and counts.
func (d *fleetDay) watch(events <-chan pterosocket.FleetEvent) {
	gap := make(map[string]bool)
	for ev := range events {
		d.mu.Lock()
		switch e := ev.Event.(type) {
		case pterosocket.ServerAdded: // what was before is not asked for
			gap[ev.Server] = true
		case pterosocket.Gap, pterosocket.Lagged:
			d.gaps++
			gap[ev.Server] = true
		case pterosocket.TokenExpired:
			if !d.panelOut && ev.Time.Sub(d.backAt) > 10*time.Minute && !d.suspended[ev.Server] { // until all have had their turn
				d.ended++
				d.t.Logf("%v: a token of %s has ended", ev.Time, ev.Server)
			}
		case pterosocket.ConsoleOutput:
			var n int
			if _, err := fmt.Sscanf(e.Line, "line %d", &n); err != nil {
				break
			}
			switch want := d.expected[ev.Server]; {
			case n < want:
				d.doubled++
				d.t.Errorf("%v: %s: line %d came again, or too late; %d is the next", ev.Time, ev.Server, n, want)
			case n > want && gap[ev.Server]:
				d.lost += n - want
			case n > want:
				d.silent += n - want
				d.t.Errorf("%v: %s: line %d in the place of %d", ev.Time, ev.Server, n, want)
			}
			gap[ev.Server] = false
			d.expected[ev.Server] = n + 1
		}
		d.mu.Unlock()
	}
}

func (d *fleetDay) judge(m pterosocket.Metrics) {
	all := 0
	for _, n := range d.printed {
		all += n
	}
	d.t.Logf("%d lines of %d servers: lost in silence %d, doubled %d; %d gaps with %d lines behind them; %+v", all, len(d.printed), d.silent, d.doubled, d.gaps, d.lost, m)
	if n := d.srv.RefusedRequests(); n != 0 {
		d.t.Errorf("%d requests were beyond the panel's limit", n)
	}
	if d.ended != 0 {
		d.t.Errorf("%d tokens ended unrenewed", d.ended)
	}
	if d.lost > all/20 {
		d.t.Errorf("%d of %d lines are behind a Gap", d.lost, all)
	}
}
