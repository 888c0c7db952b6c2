package pterosocket_test

import (
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pterosocket/pterosocket-go/pterosocket"
	"github.com/pterosocket/pterosocket-go/pterosocket/pterotest"
)

// Snapshot tells what happens on a single connection, while it stands, while it is lost, and after the end.
func TestSnapshot(t *testing.T) {
	virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
		began := time.Now()
		events, commands, err := open(t.Context(), config(srv))
		must(t, err)
		time.Sleep(1500 * time.Millisecond)
		// Nobody receives: 32 events are in the channel, the others wait.
		const lines = 200
		for range lines {
			srv.Print("0123456789")
		}
		synctest.Wait()
		s := commands.Snapshot()
		if s.Server.ID != srv.ServerID() || !s.Connected || s.State != pterosocket.StateRunning || s.Err != nil || !s.NextAttempt.IsZero() ||
			s.Stats.MemoryBytes == 0 || s.Since.Before(began) || s.LastFrame != time.Now() || time.Until(s.TokenExpires) < 9*time.Minute {
			t.Errorf("connected: %+v", s)
		}
		if s.Metrics.ConsoleLines != lines || s.QueuedEvents < lines-32 || s.QueuedEvents > lines || s.QueuedBytes < 10*s.QueuedEvents {
			t.Errorf("%d lines, %d events of %d bytes wait", s.Metrics.ConsoleLines, s.QueuedEvents, s.QueuedBytes)
		}
		frame := s.LastFrame
		srv.SetDown(true)
		synctest.Wait()
		s = commands.Snapshot()
		if s.Connected || s.State != "" || s.Stats.MemoryBytes != 0 || s.Err == nil || s.NextAttempt.Before(time.Now()) || s.LastFrame != frame ||
			!s.TokenExpires.IsZero() {
			t.Errorf("lost: %+v", s)
		}
		go commands.Close()
		for range events {
		}
		<-commands.Done()
		if s = commands.Snapshot(); s.Connected || s.QueuedEvents != 0 || s.QueuedBytes != 0 || s.Metrics.ConsoleLines != lines || !s.NextAttempt.IsZero() {
			t.Errorf("ended: %+v", s)
		}
	})
}

// Lines that were recovered, and those that the consumer never got, count too.
func TestConsoleLinesCountsAll(t *testing.T) {
	virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
		cfg := config(srv)
		cfg.QueueSize = 64
		c := connect(t, cfg)
		srv.Print("before")
		c.line("before")
		srv.SetDown(true)
		srv.Print("missed 1", "missed 2")
		time.Sleep(time.Minute)
		srv.SetDown(false)
		c.line("missed 2")
		time.Sleep(time.Second)
		const flood = 1000
		for range flood {
			srv.Print("again")
		}
		synctest.Wait()
		if m := c.Metrics(); m.ConsoleLines != flood+3 || m.LinesReplayed != 2 || m.Dropped == 0 {
			t.Errorf("%+v", m)
		}
	})
}

// Budget tells what a fleet has asked, as the panel has counted it.
func TestFleetBudget(t *testing.T) {
	virtual(t, pterotest.Config{PanelLimit: 8, Offline: true}, func(t *testing.T, srv *pterotest.Server) {
		const servers = 60
		for range servers - 1 {
			srv.AddServer(pterotest.ServerConfig{Offline: true})
		}
		cfg := fleetConfig(srv)
		cfg.Refresh = -1
		w := watch(t, cfg)
		synctest.Wait()
		b := w.Budget()
		if b.RequestsPerMinute != 6 || b.Requests == 0 || b.Waiting == 0 || b.Surplus != 15 {
			t.Errorf("at the start: %+v", b)
		}
		wantError(t, w.Ready(t.Context()), pterosocket.ErrRateLimited)
		b = w.Budget()
		if asked := uint64(srv.CredentialRequests()); b.Requests != asked+1 || b.Surplus != 15 { // and a page of the list
			t.Errorf("%d tokens were asked for: %+v", asked, b)
		}
		commands, err := w.Commands(srv.UUID())
		must(t, err)
		if s := commands.Snapshot(); s.Server.UUID != srv.UUID() || !s.Connected {
			t.Errorf("%+v", s)
		}
	})
}

// While the panel gives out no token, the connection that is still up does not count, and the snapshot says why.
func TestSnapshotWithoutAToken(t *testing.T) {
	virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
		c := connect(t, config(srv))
		time.Sleep(7 * time.Minute)
		srv.InterceptPanel(func(w responseWriter, _ *request) bool { w.WriteHeader(500); return true })
		time.Sleep(200 * time.Second)
		if s := c.Snapshot(); s.Connected || s.Err == nil || s.Since.IsZero() {
			t.Errorf("%+v", s)
		}
		srv.ResetPanel()
		must(t, c.Ready(t.Context()))
		if s := c.Snapshot(); !s.Connected || s.Err != nil {
			t.Errorf("with a token again: %+v", s)
		}
	})
}

// A server that was never tried has no failed attempts, however the fleet ends.
func TestNoAttemptIsNoFailure(t *testing.T) {
	virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
		srv.AddServer(pterotest.ServerConfig{}).Suspend()
		w := watch(t, fleetConfig(srv))
		w.ready()
		must(t, w.Close())
		if n := w.Metrics().FailedAttempts; n != 0 {
			t.Errorf("%d failed attempts", n)
		}
	})
}

// A snapshot in JSON comes back the same, but for what errors.As finds.
func TestSnapshotAsJSON(t *testing.T) {
	virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
		c := connect(t, config(srv))
		time.Sleep(1500 * time.Millisecond)
		for range 2 {
			want := c.Snapshot()
			data, err := json.Marshal(want)
			must(t, err)
			var got pterosocket.ServerSnapshot
			must(t, json.Unmarshal(data, &got))
			if want.Err != nil {
				if !errors.Is(got.Err, pterosocket.ErrNotConnected) || got.Err.Error() != want.Err.Error() {
					t.Errorf("%v became %v", want.Err, got.Err)
				}
				got.Err = want.Err
			}
			for _, at := range []*time.Time{&want.Since, &want.LastFrame, &want.NextAttempt, &want.TokenExpires} {
				*at = at.Round(0).UTC()
			}
			for _, at := range []*time.Time{&got.Since, &got.LastFrame, &got.NextAttempt, &got.TokenExpires} {
				*at = at.UTC()
			}
			if diff := cmp.Diff(want, got, cmpopts.EquateErrors()); diff != "" {
				t.Errorf("%s\n%s", data, diff)
			}
			srv.ExpireTokens()
			time.Sleep(time.Second)
		}
	})
}
