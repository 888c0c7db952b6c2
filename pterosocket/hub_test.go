package pterosocket_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/pterosocket/pterosocket-go/pterosocket"
	"github.com/pterosocket/pterosocket-go/pterosocket/pterotest"
)

func TestHub(t *testing.T) {
	virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
		c := connect(t, config(srv))
		hub := pterosocket.NewHub(c.events)
		lines, stalled := pterosocket.On[pterosocket.ConsoleOutput](hub), pterosocket.On[pterosocket.ConsoleOutput](hub)
		all, closes := pterosocket.On[pterosocket.Event](hub), pterosocket.On[pterosocket.Close](hub)
		const n = 9000
		for i := range n {
			srv.Print(fmt.Sprint(i))
			if ev := <-lines.C; ev.Line != fmt.Sprint(i) {
				t.Fatalf("line %s in the place of %d", ev.Line, i)
			}
		}
		synctest.Wait() // the last one has been offered to everybody
		if got := stalled.Dropped(); got != n-8192 {
			t.Errorf("a stalled listener lost %d of %d", got, n)
		}
		// What it does get is in order, and what a listener to everything has missed is counted where it was.
		received, lagged := 0, 0
		for received+lagged < n {
			switch ev := (<-all.C).(type) {
			case pterosocket.Lagged:
				lagged += ev.Dropped
			case pterosocket.ConsoleOutput:
				if ev.Line != fmt.Sprint(received+lagged) {
					t.Fatalf("line %s behind %d received and %d dropped", ev.Line, received, lagged)
				}
				received++
			}
		}
		if uint64(lagged) != all.Dropped() || lagged == 0 {
			t.Errorf("told of %d dropped events, %d were", lagged, all.Dropped())
		}
		stalled.Stop()
		stalled.Stop()

		done := make(chan pterosocket.Stats, 1)
		go func() {
			ev, err := pterosocket.Once[pterosocket.Stats](t.Context(), hub)
			if err != nil {
				t.Error(err)
			}
			done <- ev
		}()
		if ev := <-done; ev.State != pterosocket.StateRunning {
			t.Errorf("%+v", ev)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := pterosocket.Once[pterosocket.Deleted](ctx, hub)
		wantError(t, err, context.Canceled)

		// On and Stop from anywhere, while events come.
		var many sync.WaitGroup
		for range 20 {
			many.Go(func() {
				for range 50 {
					sub := pterosocket.On[pterosocket.Event](hub)
					srv.Print("x")
					sub.Stop()
				}
			})
		}
		many.Wait()
		must(t, c.Close())
		if ev := <-closes.C; !ev.Final {
			t.Errorf("%+v", ev)
		}
		for range all.C { //nolint:revive // to its end
		}
		for range lines.C { //nolint:revive // to its end
		}
		_, err = pterosocket.Once[pterosocket.Status](t.Context(), hub)
		wantError(t, err, pterosocket.ErrClosed)
		if _, open := <-pterosocket.On[pterosocket.Status](hub).C; open {
			t.Error("a subscription after the end is open")
		}
	})
}

func TestOnly(t *testing.T) {
	events := make(chan pterosocket.Event, 10)
	for i := range 3 {
		events <- pterosocket.Status{State: pterosocket.State(fmt.Sprint(i))}
		events <- pterosocket.Gap{}
	}
	close(events)
	var got string
	for ev := range pterosocket.Only[pterosocket.Status](events) {
		if got += string(ev.State); len(got) == 2 {
			break
		}
	}
	if got != "01" {
		t.Errorf("got %q", got)
	}
}
