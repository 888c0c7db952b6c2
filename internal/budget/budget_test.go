package budget

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// turnsOf lets some wait at once, and returns in which order, and when, their turns came.
func turnsOf(t *testing.T, b *Budget, waiting []turn) (order []int, after []time.Duration) {
	var mu sync.Mutex
	var all sync.WaitGroup
	start := time.Now()
	for i, w := range waiting {
		all.Go(func() {
			if err := b.Wait(t.Context(), w.urgency, w.due); err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			order, after = append(order, i), append(after, time.Since(start))
		})
		synctest.Wait() // one after the other, so that the order is the same each time
	}
	all.Wait()
	return order, after
}

func TestTheMostUrgentGoesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		order, after := turnsOf(t, New(60), []turn{
			{urgency: Refresh}, // the first has nobody to wait for
			{urgency: Refresh},
			{urgency: First},
			{urgency: First},
			{urgency: Reconnect},
			{urgency: Renewal, due: now.Add(time.Minute)},
			{urgency: Renewal, due: now.Add(time.Second)},
		})
		if want := []int{0, 6, 5, 4, 2, 3, 1}; !slices.Equal(order, want) {
			t.Errorf("turns came in the order %v, not %v", order, want)
		}
		for i, d := range after {
			if d != time.Duration(i)*time.Second {
				t.Errorf("turn %d came after %v", i, d)
			}
		}
	})
}

// After a pause there is no burst.
func TestTurnsAreEvenlySpaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(120)
		turnsOf(t, b, make([]turn, 3))
		time.Sleep(time.Hour)
		_, after := turnsOf(t, b, make([]turn, 4))
		if want := []time.Duration{0, 500 * time.Millisecond, time.Second, 1500 * time.Millisecond}; !slices.Equal(after, want) {
			t.Errorf("turns after %v", after)
		}
	})
}

// A turn that is taken at once makes the others wait.
func TestTake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(60)
		for range 3 {
			b.Take()
		}
		_, after := turnsOf(t, b, make([]turn, 2))
		if want := []time.Duration{3 * time.Second, 4 * time.Second}; !slices.Equal(after, want) {
			t.Errorf("turns after %v", after)
		}
	})
}

func TestTheLimitIsLearned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(0)
		if n := b.PerMinute(); n != Default {
			t.Errorf("%d a minute before an answer has told", n)
		}
		b.Learn(360, 300, 30*time.Second)
		if n := b.PerMinute(); n != 540 {
			t.Errorf("%d a minute of 720", n)
		}
		b.Learn(0, 0, time.Minute) // says nothing
		b.SetPerMinute(10)
		if n := b.PerMinute(); n != 10 {
			t.Errorf("%d a minute, 10 were set", n)
		}
		b.SetPerMinute(0)
		if n := b.PerMinute(); n != 540 {
			t.Errorf("%d a minute once nothing was set", n)
		}
	})
}

// When others have used nearly all, renewals alone go on; a 429 stops them too.
func TestNarrowAndClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(60)
		turnsOf(t, b, make([]turn, 1))
		b.Learn(240, 24, time.Minute)
		order, after := turnsOf(t, b, []turn{{urgency: Reconnect}, {urgency: Renewal}, {urgency: Renewal}})
		if !slices.Equal(order, []int{1, 2, 0}) || after[1] != 2*time.Second || after[2] != time.Minute {
			t.Errorf("turns in the order %v after %v", order, after)
		}
		b.Close(30 * time.Second)
		b.Close(10 * time.Second) // the longer holds
		if _, after := turnsOf(t, b, []turn{{urgency: Renewal}}); after[0] != 30*time.Second {
			t.Errorf("a turn %v after a 429 that asks for 30s", after[0])
		}
	})
}

// Who gives up costs the others nothing.
func TestGivingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(1)
		turnsOf(t, b, make([]turn, 1))
		enough := errors.New("enough")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, enough)
		defer cancel()
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				if err := b.Wait(ctx, Renewal, time.Time{}); !errors.Is(err, enough) {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if _, n := b.Use(); n != 100 {
			t.Errorf("%d wait", n)
		}
		all.Wait()
		if err := b.Wait(ctx, Renewal, time.Time{}); !errors.Is(err, enough) {
			t.Error(err)
		}
		if _, n := b.Use(); n != 0 {
			t.Errorf("%d wait", n)
		}
		start := time.Now()
		turnsOf(t, b, make([]turn, 1))
		if d := time.Since(start); d != 59*time.Second {
			t.Errorf("the next turn came after %v", d)
		}
	})
}
