package delivery

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The events of these tests are texts: "line" and "keep" with a number, "latest", "lagged" and "end".
func policy(events, bytes int) Policy[string] {
	return Policy[string]{
		Events: events,
		Bytes:  bytes,
		Class: func(s string) Class {
			switch strings.Fields(s)[0] {
			case "line":
				return Shed
			case "latest":
				return Latest
			}
			return Keep
		},
		Size:   func(s string) int { return len(s) },
		Lagged: func(n int) (string, bool) { return fmt.Sprint("lagged ", n), true },
		Told:   func(s string) (n int) { _, _ = fmt.Sscanf(s, "lagged %d", &n); return n },
	}
}

func forEver() Patience { return Patience{} }

func end(dropped int) string { return fmt.Sprint("end ", dropped) }

// collect ends o, and returns what a late consumer finds.
func collect(o *Outlet[string]) (all []string) {
	go o.Finish(forEver, end)
	for s := range o.C() {
		all = append(all, s)
	}
	return all
}

// What a stopped consumer finds: every line, or their number in their place.
func TestCountsWhatIsGivenUpInItsPlace(t *testing.T) {
	for _, size := range []int{1, 2, 5, 16, 100, 1000} {
		for _, n := range []int{0, 1, size, size + 1, size + 2, 10 * size, 5000} {
			synctest.Test(t, func(t *testing.T) {
				o := New(policy(size, 1<<30))
				for i := range n {
					o.Push(fmt.Sprint("line ", i))
					if i%3 == 0 {
						synctest.Wait() // let the goroutine take one
					}
				}
				at, kept, lagged := 0, 0, 0
				all := collect(o)
				for _, s := range all[:len(all)-1] {
					var number int
					if _, err := fmt.Sscanf(s, "lagged %d", &number); err == nil {
						at += number
						lagged += number
						continue
					}
					if s != fmt.Sprint("line ", at) {
						t.Fatalf("size %d, %d lines: %q in the place of %d", size, n, s, at)
					}
					at++
					kept++
				}
				if at != n || kept > size+1 || uint64(lagged) != o.Dropped() || all[len(all)-1] != "end 0" {
					t.Errorf("size %d: %d of %d accounted for, %d kept, %d dropped; the last is %q", size, at, n, kept, lagged, all[len(all)-1])
				}
			})
		}
	}
}

// What is to be kept goes only when nothing else is left, and bytes are bounded as events are.
func TestBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := New(policy(100, 1<<30))
		for i := range 5000 {
			o.Push(fmt.Sprint("line ", i))
			if i%100 == 0 {
				o.Push(fmt.Sprint("keep ", i))
			}
		}
		kept := 0
		for _, s := range collect(o) {
			if strings.HasPrefix(s, "keep") {
				kept++
			}
		}
		if kept != 50 {
			t.Errorf("%d of 50 kept", kept)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		o := New(policy(8192, 1<<20))
		for range 1000 {
			o.Push("line " + strings.Repeat("x", 64<<10))
			o.mu.Lock()
			bytes := o.queue.bytes
			o.mu.Unlock()
			if bytes > 1<<20+70_000 {
				t.Fatalf("%d bytes are queued", bytes)
			}
		}
		if o.Dropped() < 900 {
			t.Errorf("%d dropped", o.Dropped())
		}
		collect(o)
	})
}

// Of a Latest only the newest waits: a consumer that stops sees at most one older one first. The last one is delivered
// though nothing comes behind it.
func TestLatest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := New(policy(8192, 1<<20))
		for i := range 60 {
			o.Push(fmt.Sprint("latest ", i))
			o.Push(fmt.Sprint("line ", i))
			time.Sleep(time.Second)
		}
		time.Sleep(time.Minute)
		go o.Finish(forEver, end)
		var latest []string
		for s := range o.C() {
			if strings.HasPrefix(s, "latest") {
				latest = append(latest, s)
			}
		}
		if len(latest) != 2 || latest[0] != "latest 0" || latest[1] != "latest 59" {
			t.Errorf("%q", latest)
		}
	})
	synctest.Test(t, func(t *testing.T) { // a quick consumer gets every one, in its place
		o := New(policy(8192, 1<<20))
		for i := range 60 {
			o.Push(fmt.Sprint("latest ", i))
			if got := <-o.C(); got != fmt.Sprint("latest ", i) {
				t.Fatalf("%q", got)
			}
		}
		collect(o)
	})
	synctest.Test(t, func(t *testing.T) { // an event that is kept does not overtake one
		o := New(policy(8192, 1<<20))
		for _, s := range []string{"latest 1", "latest 2", "keep 1"} {
			o.Push(s)
		}
		if got := strings.Join(collect(o), ", "); got != "latest 1, latest 2, keep 1, end 0" {
			t.Error(got)
		}
	})
}

// The end is delivered for as long as the consumer takes something, and counts what it gives up.
func TestFinish(t *testing.T) {
	for name, test := range map[string]struct {
		patience Patience
		pause    time.Duration // of the consumer
		all      bool
	}{
		"a slow consumer":       {Patience{Idle: time.Second}, 900 * time.Millisecond, true},
		"one that is too slow":  {Patience{Idle: time.Second}, 1100 * time.Millisecond, false},
		"no patience":           {Patience{Idle: -1}, time.Millisecond, false},
		"however long it takes": {Patience{}, time.Minute, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := New(policy(8192, 1<<20))
				const n = 200
				for i := range n {
					o.Push(fmt.Sprint("line ", i))
				}
				synctest.Wait()
				given := make(chan int, 1)
				go func() { given <- o.Finish(func() Patience { return test.patience }, end) }()
				received, last := 0, ""
				for s := range o.C() {
					if strings.HasPrefix(s, "line") {
						if s != fmt.Sprint("line ", received) {
							t.Fatalf("%q in the place of %d", s, received)
						}
						received++
					}
					last = s
					time.Sleep(test.pause)
				}
				dropped := <-given
				if received+dropped != n || last != fmt.Sprint("end ", dropped) || (dropped == 0) != test.all {
					t.Errorf("%d received, %d given up; the last is %q", received, dropped, last)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) { // patience may end, and may change
		o := New(policy(8192, 1<<20))
		for i := range 200 {
			o.Push(fmt.Sprint("line ", i))
		}
		changed, p := make(chan struct{}), Patience{}
		p.Changed = changed
		asked := 0
		done := make(chan int, 1)
		go func() {
			done <- o.Finish(func() Patience {
				if asked++; asked > 1 {
					return Patience{Idle: time.Millisecond}
				}
				return p
			}, end)
		}()
		time.Sleep(time.Hour)
		close(changed)
		if dropped := <-done; dropped == 0 {
			t.Error("nothing was given up")
		}
	})
}

// At random: whatever the consumer does, the order stays.
func TestRandomly(t *testing.T) {
	for seed := range uint64(200) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 3))
			o := New(policy(1+r.IntN(100), 1<<(8+r.IntN(12))))
			pushed := 0
			for range 2000 {
				switch r.IntN(12) {
				case 0:
					o.Push(fmt.Sprint("keep ", pushed))
				case 1:
					for range r.IntN(40) {
						select {
						case <-o.C():
						default:
						}
					}
					continue
				case 2:
					synctest.Wait()
					continue
				default:
					o.Push(fmt.Sprint("line ", pushed))
				}
				pushed++
			}
			last := -1
			for _, s := range collect(o) {
				var n int
				if _, err := fmt.Sscanf(s, "line %d", &n); err == nil && n <= last {
					t.Fatalf("seed %d: %d behind %d", seed, n, last)
				} else if err == nil {
					last = n
				}
			}
		})
	}
}

// However far the consumer has come when nothing waits for it any more, what it got, what a Lagged told and what the end
// tells are everything, and Dropped knows the rest.
func TestTheEndTellsWhatNobodyWasTold(t *testing.T) {
	for size := 1; size < 400; size = size*3/2 + 1 {
		for taken := range 8 {
			synctest.Test(t, func(t *testing.T) {
				o := New(policy(size, 1<<30))
				const n = 1000
				lines, told, untold := 0, 0, 0
				take := func(s string) {
					var k int
					switch {
					case strings.HasPrefix(s, "line"):
						lines++
					default:
						if _, err := fmt.Sscanf(s, "lagged %d", &k); err == nil {
							told += k
						} else if _, err := fmt.Sscanf(s, "end %d", &untold); err != nil {
							t.Errorf("%q", s)
						}
					}
				}
				for i := range n {
					o.Push(fmt.Sprint("line ", i))
					if i%100 == 0 {
						synctest.Wait()
					}
				}
				for i := 0; i < taken && len(o.C()) > 0; i++ {
					take(<-o.C())
					synctest.Wait()
				}
				o.Finish(func() Patience { return Patience{Idle: -1} }, end)
				for s := range o.C() {
					take(s)
				}
				if lines+told+untold != n || int(o.Dropped()) != told+untold {
					t.Errorf("size %d, %d taken: %d lines, %d told, %d at the end, of %d; %d dropped", size, taken, lines, told, untold, n, o.Dropped())
				}
			})
		}
	}
}
