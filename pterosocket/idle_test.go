package pterosocket_test

import (
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/pterosocket/pterosocket-go/pterosocket"
	"github.com/pterosocket/pterosocket-go/pterosocket/pterotest"
)

// Idle connections, through two hours of pings and renewals: neither memory nor goroutines grow. make idle does it with
// 20,000.
func TestIdleConnectionsDoNotGrow(t *testing.T) {
	n := 100
	if text := os.Getenv("PTERO_IDLE"); text != "" {
		var err error
		n, err = strconv.Atoi(text)
		must(t, err)
	}
	virtual(t, pterotest.Config{Offline: true}, func(t *testing.T, srv *pterotest.Server) {
		all := make([]*pterosocket.Commands, n)
		var connecting sync.WaitGroup
		for i := range all {
			connecting.Go(func() {
				cfg := config(srv)
				cfg.ConnectTimeout = 10 * time.Minute
				events, commands, err := open(t.Context(), cfg)
				if err != nil {
					t.Error(err)
					return
				}
				all[i] = commands
				go func() {
					for range events {
					}
				}()
			})
			if i%100 == 99 {
				connecting.Wait()
			}
		}
		connecting.Wait()
		if t.Failed() {
			return
		}
		inUse := func() (heap uint64, goroutines int) {
			srv.ForgetReceived()
			for range 3 {
				runtime.GC()
			}
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return m.HeapAlloc, runtime.NumGoroutine()
		}
		time.Sleep(time.Hour + time.Second) // off the beat of the pings
		heap, goroutines := inUse()
		time.Sleep(time.Hour)
		heapAfter, goroutinesAfter := inUse()
		renewals := uint64(0)
		for _, c := range all {
			m := c.Metrics()
			renewals += m.Renewals
			if m.Reconnects != 0 || m.PingRTT < 0 {
				t.Fatalf("%+v", m)
			}
		}
		t.Logf("%d connections, %d renewals: %.1f KiB each after an hour, the fake's side included, %.1f after two; %d and %d goroutines",
			n, renewals, float64(heap)/float64(n)/1024, float64(heapAfter)/float64(n)/1024, goroutines, goroutinesAfter)
		if heapAfter > heap+heap/20+(2<<20) {
			t.Errorf("memory grew from %d to %d bytes", heap, heapAfter)
		}
		if goroutinesAfter > goroutines+n/20+10 {
			t.Errorf("goroutines grew from %d to %d", goroutines, goroutinesAfter)
		}
		if renewals < uint64(n)*12 {
			t.Errorf("%d renewals of %d connections in two hours", renewals, n)
		}
		var closing sync.WaitGroup
		for _, c := range all {
			closing.Go(func() { _ = c.Close() })
		}
		closing.Wait()
	})
}
