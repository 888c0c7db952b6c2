package pterosocket

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func out(s string) ConsoleOutput { return ConsoleOutput{Line: s} }

// collect ends o and returns what a late consumer finds.
func collect(ctx context.Context, o *outbox) []Event {
	go o.finish(ctx, Close{Final: true})
	var events []Event
	for ev := range o.events {
		events = append(events, ev)
	}
	return events
}

func lastIsClose(t *testing.T, events []Event) []Event {
	t.Helper()
	if len(events) == 0 {
		t.Fatal("no events")
	}
	if last, ok := events[len(events)-1].(Close); !ok || !last.Final {
		t.Fatalf("the last event is %#v", events[len(events)-1])
	}
	return events[:len(events)-1]
}

// What a stopped consumer finds: every line, or a Lagged in its place with the right count.
func TestOutboxCountsWhatItDropsInItsPlace(t *testing.T) {
	for _, size := range []int{1, 2, 5, 16, 100, 1000} {
		for _, n := range []int{0, 1, size, size + 1, size + 2, 10 * size, 5000} {
			t.Run(fmt.Sprintf("size=%d,n=%d", size, n), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					o := newOutbox(size)
					for i := range n {
						o.push(out(fmt.Sprint(i)))
						if i%3 == 0 {
							synctest.Wait() // let deliver take one in hand
						}
					}
					at, kept := 0, 0
					for _, ev := range lastIsClose(t, collect(t.Context(), o)) {
						switch ev := ev.(type) {
						case ConsoleOutput:
							if ev.Line != fmt.Sprint(at) {
								t.Fatalf("line %s in the place of %d", ev.Line, at)
							}
							at++
							kept++
						case Lagged:
							at += ev.Dropped
						default:
							t.Fatalf("%#v", ev)
						}
					}
					if at != n {
						t.Errorf("%d of %d lines accounted for", at, n)
					}
					if kept > size+2 || kept < min(n, size) { // one in the channel and one in deliver's hand besides
						t.Errorf("%d kept of %d", kept, size)
					}
					if got := int(o.droppedCount()); got != n-kept {
						t.Errorf("droppedCount %d, want %d", got, n-kept)
					}
				})
			})
		}
	}
}

// Lifecycle events stay while lines go, each in its place.
func TestOutboxKeepsWhatIsNotConsolePace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutbox(32)
		for i := range 1000 {
			o.push(out(fmt.Sprint(i)))
			if i%100 == 50 {
				o.push(Status{State: State(fmt.Sprint(i))})
			}
		}
		at, statuses := 0, 0
		for _, ev := range lastIsClose(t, collect(t.Context(), o)) {
			switch ev := ev.(type) {
			case ConsoleOutput:
				if ev.Line != fmt.Sprint(at) {
					t.Fatalf("line %s in the place of %d", ev.Line, at)
				}
				at++
			case Lagged:
				at += ev.Dropped
			case Status:
				if ev.State != State(fmt.Sprint(at-1)) {
					t.Errorf("status %s behind line %d", ev.State, at-1)
				}
				statuses++
			}
		}
		if at != 1000 || statuses != 10 {
			t.Errorf("%d lines accounted for, %d statuses", at, statuses)
		}
	})
}

func TestOutboxIsBoundedByLifecycleEventsToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutbox(20)
		for i := range 1000 {
			o.push(TransferStatus{Status: fmt.Sprint(i)})
		}
		at, kept := 0, 0
		for _, ev := range lastIsClose(t, collect(t.Context(), o)) {
			switch ev := ev.(type) {
			case TransferStatus:
				if ev.Status != fmt.Sprint(at) {
					t.Fatalf("status %s in the place of %d", ev.Status, at)
				}
				at++
				kept++
			case Lagged:
				at += ev.Dropped
			}
		}
		if at != 1000 || kept > 22 {
			t.Errorf("%d accounted for, %d kept", at, kept)
		}
	})
}

// Only the newest Stats waits, whether the older one is in the channel, in the queue, or in deliver's hand.
func TestOutboxKeepsTheNewestStatsOnly(t *testing.T) {
	for _, linesBefore := range []int{0, 1, 2, 5, 64, 65, 66, 300} {
		for _, linesBetween := range []int{0, 1, 100} {
			t.Run(fmt.Sprintf("before=%d,between=%d", linesBefore, linesBetween), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					o := newOutbox(8192)
					for i := range linesBefore {
						o.push(out(fmt.Sprint("before ", i)))
					}
					for i := 1; i <= 60; i++ {
						o.push(Stats{Uptime: time.Duration(i)})
						for j := range linesBetween {
							o.push(out(fmt.Sprint(i, " ", j)))
						}
						synctest.Wait()
					}
					stats, lines := 0, 0
					for _, ev := range lastIsClose(t, collect(t.Context(), o)) {
						switch ev := ev.(type) {
						case Stats:
							stats++
							if ev.Uptime != 60 {
								t.Errorf("stats number %d", ev.Uptime)
							}
						case ConsoleOutput:
							lines++
						}
					}
					if stats != 1 || lines != linesBefore+60*linesBetween {
						t.Errorf("%d stats, %d lines", stats, lines)
					}
				})
			})
		}
	}
}

func TestOutboxMakesOneOfAFloodOfJWTErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutbox(8192)
		for range 2 {
			for i := range 100 {
				o.push(JWTError{Message: "jwt: exp claim is invalid"})
				o.push(JWTError{Message: fmt.Sprintf("Error Event [%d]: jwt: exp claim is invalid", i)})
			}
			o.push(JWTError{Message: "other"})
			o.push(AuthSuccess{})
		}
		var names []string
		for _, ev := range lastIsClose(t, collect(t.Context(), o)) {
			names = append(names, ev.Name())
		}
		want := []string{"jwt_error", "jwt_error", "auth_success", "jwt_error", "jwt_error", "auth_success"}
		if diff := cmp.Diff(want, names); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	})
}

// After the end: delivered to who takes it, given up 100 ms after nobody does, at once when the context has ended.
func TestOutboxEnd(t *testing.T) {
	fill := func() *outbox {
		o := newOutbox(8192)
		for i := range 1000 {
			o.push(out(fmt.Sprint(i)))
		}
		return o
	}
	t.Run("quick consumer", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			if n := len(lastIsClose(t, collect(t.Context(), fill()))); n != 1000 {
				t.Errorf("%d events", n)
			}
		})
	})
	t.Run("no consumer", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			o, start := fill(), time.Now()
			o.finish(t.Context(), Close{Final: true})
			if d := time.Since(start); d != drainIdle {
				t.Errorf("took %v", d)
			}
			checkRest(t, o)
		})
	})
	t.Run("slow consumer", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			o, start := fill(), time.Now()
			go o.finish(t.Context(), Close{Final: true})
			total := 0
			for ev := range o.events {
				switch ev.(type) {
				case ConsoleOutput:
					total++
				case Close:
					if d := time.Since(start); d > drainFor+100*90*time.Millisecond {
						t.Errorf("ended after %v", d)
					}
				}
				time.Sleep(90 * time.Millisecond)
			}
			if total += int(o.droppedCount()); total != 1000 {
				t.Errorf("%d accounted for", total)
			}
		})
	})
	t.Run("context ended", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			o, start := fill(), time.Now()
			o.finish(ctx, Close{Final: true})
			if d := time.Since(start); d != 0 {
				t.Errorf("took %v", d)
			}
			checkRest(t, o)
		})
	})
}

func checkRest(t *testing.T, o *outbox) {
	t.Helper()
	var events []Event
	for ev := range o.events {
		events = append(events, ev)
	}
	if total := len(lastIsClose(t, events)) + int(o.droppedCount()); total != 1000 {
		t.Errorf("%d of 1000 accounted for", total)
	}
}

// Random pushes and takes against the plain truth: order, and every line there or counted.
func TestOutboxRandomly(t *testing.T) {
	for seed := range uint64(300) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 7))
			o := newOutbox(100 + r.IntN(200)) // so that lines are given up, and nothing else
			pushed, at := 0, 0
			see := func(ev Event) {
				switch ev := ev.(type) {
				case ConsoleOutput:
					if ev.Line != fmt.Sprint(at) {
						t.Fatalf("seed %d: line %s in the place of %d", seed, ev.Line, at)
					}
					at++
				case Status:
					if ev.State != State(fmt.Sprint(at)) {
						t.Fatalf("seed %d: status %s in the place of %d", seed, ev.State, at)
					}
					at++
				case Lagged:
					at += ev.Dropped
				}
			}
			for range 300 {
				switch r.IntN(5) {
				case 0, 1:
					for range r.IntN(60) {
						o.push(out(fmt.Sprint(pushed)))
						pushed++
					}
				case 2:
					o.push(Stats{Uptime: time.Duration(pushed)})
				case 3:
					o.push(Status{State: State(fmt.Sprint(pushed))})
					pushed++
				case 4:
					for range r.IntN(100) {
						synctest.Wait()
						select {
						case ev := <-o.events:
							see(ev)
						default:
						}
					}
				}
				if r.IntN(2) == 0 {
					synctest.Wait()
				}
			}
			for _, ev := range lastIsClose(t, collect(t.Context(), o)) {
				see(ev)
			}
			if at != pushed {
				t.Errorf("seed %d: %d of %d accounted for", seed, at, pushed)
			}
		})
	}
}

func TestIdleOutboxCostsNoGoroutineAndLittleMemory(t *testing.T) {
	o := newOutbox(8192)
	for range 1000 {
		o.push(out("x"))
		<-o.events
	}
	if o.delivering || len(o.queue.ring) > 0 {
		t.Errorf("delivering %v, ring %d", o.delivering, len(o.queue.ring))
	}
	o.finish(t.Context(), Close{Final: true})
}

func BenchmarkOutbox(b *testing.B) {
	o := newOutbox(8192)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range o.events {
		}
	}()
	var ev Event = out("x")
	b.ReportAllocs()
	for b.Loop() {
		o.push(ev)
	}
	o.finish(b.Context(), Close{Final: true})
	<-done
}

// A consumer that takes while the library takes back: the order must hold. In real time, since it is a race.
func TestOutboxKeepsTheOrderWithAConcurrentConsumer(t *testing.T) {
	o := newOutbox(8192)
	const n = 20_000
	go func() {
		for i := range n {
			o.push(out(fmt.Sprint(i)))
			o.push(Stats{Uptime: time.Duration(i)})
			if i%50 == 0 {
				runtime.Gosched()
			}
		}
		o.finish(context.Background(), Close{Final: true})
	}()
	at, newest := 0, time.Duration(-1)
	for ev := range o.events {
		switch ev := ev.(type) {
		case ConsoleOutput:
			if ev.Line != fmt.Sprint(at) {
				t.Fatalf("line %s in the place of %d", ev.Line, at)
			}
			at++
		case Lagged:
			at += ev.Dropped
		case Stats:
			if ev.Uptime < newest {
				t.Fatalf("stats %d behind %d", ev.Uptime, newest)
			}
			newest = ev.Uptime
		}
	}
	if at != n {
		t.Errorf("%d of %d accounted for", at, n)
	}
}
