package delivery

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// named returns the policy of a source whose events begin with its name: "a line 1".
func named(name string, events, bytes int) Policy[string] {
	p := policy(events, bytes)
	class, lagged := p.Class, p.Lagged
	p.Class = func(s string) Class { return class(s[len(name)+1:]) }
	p.Lagged = func(n int) (string, bool) { s, ok := lagged(n); return name + " " + s, ok }
	return p
}

func atOnce() Patience { return Patience{Idle: -1} }

// Whatever is pushed, and whenever the consumer takes something: of each source every line comes in order, or is counted
// in its place, in Dropped, and, at the end, in what Close returns.
func TestMuxAccountsForEverything(t *testing.T) {
	for seed := range uint64(300) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			m := NewMux[string](Limits{Events: 1 + r.IntN(200), Bytes: 1 << (6 + r.IntN(8))})
			const sources = 5
			var from [sources]*Source[string]
			for i := range from {
				from[i] = m.Source(named(fmt.Sprint(i), 1+r.IntN(300), 1<<(6+r.IntN(8))))
			}
			var at, pushed, lagged [sources]int
			take := func(s string) {
				var source, n int
				if _, err := fmt.Sscanf(s, "%d lagged %d", &source, &n); err == nil {
					at[source] += n
					lagged[source] += n
					return
				}
				if _, err := fmt.Sscanf(s, "%d line %d", &source, &n); err != nil || n != at[source] {
					t.Fatalf("seed %d: %q in the place of line %d", seed, s, at[source])
				}
				at[source]++
			}
			for range 2000 {
				i := r.IntN(sources)
				if r.IntN(3) > 0 {
					i = 0 // which floods
				}
				lines := make([]string, 1+r.IntN(3))
				for j := range lines {
					lines[j] = fmt.Sprint(i, " line ", pushed[i])
					pushed[i]++
				}
				if len(lines) == 1 {
					from[i].Push(lines[0])
				} else {
					from[i].PushAll(lines)
				}
				m.mu.Lock()
				queued := m.queued
				m.mu.Unlock()
				if queued.Events > m.limits.Events+1 {
					t.Fatalf("seed %d: %d events are queued, %d may be", seed, queued.Events, m.limits.Events)
				}
				for r.IntN(2) == 0 && len(m.C()) > 0 {
					take(<-m.C())
				}
				if r.IntN(50) == 0 {
					synctest.Wait()
				}
			}
			patience := forEver
			if r.IntN(2) == 0 {
				patience = atOnce
			}
			closed := make(chan int, 1)
			go func() { closed <- m.Close(patience) }()
			for s := range m.C() {
				take(s)
			}
			untold := <-closed
			total, all, told := 0, 0, 0
			for i := range sources {
				all, total, told = all+pushed[i], total+at[i], told+lagged[i]
				if q := from[i].Queued(); q.Events != 0 || q.Bytes != 0 {
					t.Errorf("seed %d: %+v are queued after the end", seed, q)
				}
			}
			if total+untold != all {
				t.Errorf("seed %d: %d of %d lines are accounted for, %d untold", seed, total, all, untold)
			}
			if dropped := int(m.Dropped()); dropped != told+untold {
				t.Errorf("seed %d: %d dropped, %d told and %d not", seed, dropped, told, untold)
			}
			if m.queued != (Limits{}) {
				t.Errorf("seed %d: %+v are queued after the end", seed, m.queued)
			}
		})
	}
}

// A line of a quiet source waits for what is in the channel, and for one event of each other.
func TestMuxTakesTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMux[string](Limits{Events: 100_000, Bytes: 1 << 30})
		flood := m.Source(named("f", 100_000, 1<<30))
		var quiet []*Source[string]
		for i := range 10 {
			quiet = append(quiet, m.Source(named(fmt.Sprint(i), 100, 1<<20)))
		}
		for i := range 10_000 {
			flood.Push(fmt.Sprint("f line ", i))
		}
		for i, s := range quiet {
			s.Push(fmt.Sprint(i, " line 0"))
		}
		go m.Close(forEver)
		seen, last := 0, 0
		for s := range m.C() {
			seen++
			if !strings.HasPrefix(s, "f") {
				last = seen
			}
		}
		if most := cap(m.events) + 1 + 2*len(quiet); last > most {
			t.Errorf("the last of the quiet ones was event %d, not among %d", last, most)
		}
	})
}

// The longest queue gives up its oldest, and no other does.
func TestMuxShedsFromTheLongest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMux[string](Limits{Events: 1000, Bytes: 1 << 30})
		a, b := m.Source(named("a", 10_000, 1<<30)), m.Source(named("b", 10_000, 1<<30))
		for i := range 400 {
			b.Push(fmt.Sprint("b line ", i))
		}
		for i := range 5000 {
			a.Push(fmt.Sprint("a line ", i))
		}
		if a.Dropped() == 0 || b.Dropped() != 0 {
			t.Errorf("%d and %d were given up", a.Dropped(), b.Dropped())
		}
		m.Close(atOnce)
	})
}

// Of the Latest the newest takes the place of the one that is queued, but never overtakes a Keep behind that.
func TestMuxLatest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMux[string](Limits{Events: 1000, Bytes: 1 << 20})
		filler, s := m.Source(named("f", 100, 1<<20)), m.Source(named("s", 100, 1<<20))
		for i := range 2 * cap(m.events) {
			filler.Push(fmt.Sprint("f line ", i))
		}
		synctest.Wait()
		for _, what := range []string{"latest 1", "latest 2", "line 1", "latest 3", "keep 1", "latest 4", "latest 5"} {
			s.Push("s " + what)
		}
		go m.Close(forEver)
		var got []string
		for ev := range m.C() {
			if strings.HasPrefix(ev, "s") {
				got = append(got, strings.TrimPrefix(ev, "s "))
			}
		}
		if all := strings.Join(got, ", "); all != "line 1, latest 3, keep 1, latest 5" {
			t.Error(all)
		}
	})
}

// At the end the consumer is waited for as long as patience says.
func TestMuxPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMux[string](Limits{Events: 1000, Bytes: 1 << 20})
		s := m.Source(named("s", 1000, 1<<20))
		for i := range 500 {
			s.Push(fmt.Sprint("s line ", i))
		}
		start := time.Now()
		dropped := m.Close(func() Patience { return Patience{Idle: time.Second} })
		if took := time.Since(start); took != time.Second || dropped != 500-cap(m.events) {
			t.Errorf("%d were given up after %v", dropped, took)
		}
		s.Push("s line 500") // does nothing
		n := 0
		for range m.C() {
			n++
		}
		if n != 500-dropped {
			t.Errorf("%d were delivered", n)
		}
	})
}

// BenchmarkMux is the way of an event from one of a hundred sources to the consumer.
func BenchmarkMux(b *testing.B) {
	m := NewMux[string](Limits{Events: 100_000, Bytes: 1 << 30})
	var from []*Source[string]
	for range 100 {
		from = append(from, m.Source(named("s", 10_000, 1<<30)))
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range m.C() {
		}
	}()
	i := 0
	for b.Loop() {
		from[i%len(from)].Push("s line")
		i++
	}
	m.Close(forEver)
	<-done
}
