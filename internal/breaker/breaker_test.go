package breaker

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A daemon counts the handshakes that it sees.
type daemon struct {
	up       atomic.Bool
	tries    atomic.Int64
	underway atomic.Int64
	most     atomic.Int64
}

// dial makes one handshake, which takes 50 ms.
func (d *daemon) dial(ctx context.Context, b *Breaker) (answered bool) {
	try, err := b.Await(ctx, "daemon", new(int)) // each time as another client
	if err != nil {
		return false
	}
	defer try.Done()
	if try.Begin(ctx) != nil {
		return false
	}
	d.tries.Add(1)
	if n := d.underway.Add(1); n > d.most.Load() {
		d.most.Store(n)
	}
	defer d.underway.Add(-1)
	time.Sleep(50 * time.Millisecond)
	answered = d.up.Load()
	try.Answered(answered)
	return answered
}

// Of 500 clients one at a time tries a daemon that is down, every two seconds. When it is back, the others follow, five
// at a time.
func TestOneTriesForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b Breaker
		var d daemon
		var all sync.WaitGroup
		for range 500 {
			all.Go(func() {
				for !d.dial(t.Context(), &b) {
					if t.Context().Err() != nil {
						return
					}
				}
			})
		}
		time.Sleep(time.Minute)
		if n := d.tries.Load(); n < 28 || n > 36 {
			t.Errorf("%d handshakes in a minute with a daemon that is down", n)
		}
		d.tries.Store(0)
		d.up.Store(true)
		start := time.Now()
		all.Wait()
		if took := time.Since(start); took > 13*time.Second {
			t.Errorf("500 clients were back after %v", took)
		}
		if n := d.tries.Load(); n != 500 {
			t.Errorf("%d handshakes of 500 clients", n)
		}
		if n := d.most.Load(); n > atOnce {
			t.Errorf("%d handshakes at a time", n)
		}
	})
}

// A client that nobody answers does not keep the others from a daemon that answers them.
func TestOneThatFailsDoesNotHurtTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b Breaker
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() {
			var bad daemon
			for ctx.Err() == nil {
				bad.dial(ctx, &b)
				select {
				case <-time.After(time.Second): // its own backoff
				case <-ctx.Done():
				}
			}
		})
		good := daemon{}
		good.up.Store(true)
		for range 10 {
			start := time.Now()
			for !good.dial(ctx, &b) {
			}
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("a good client waited for %v", took)
			}
			time.Sleep(10 * time.Second)
		}
		cancel()
		all.Wait()
	})
}

// Who waits for a daemon that is down can give up, in every state.
func TestGivingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b Breaker
		var d daemon
		for range 2 {
			if d.dial(t.Context(), &b) {
				t.Fatal("it is down")
			}
		}
		enough := errors.New("enough")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, enough)
		defer cancel()
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				if _, err := b.Await(ctx, "daemon", new(int)); !errors.Is(err, enough) {
					t.Error(err)
				}
			})
		}
		all.Wait()
		d.up.Store(true)
		for !d.dial(t.Context(), &b) {
		}
		// Five have begun and do not end: the sixth gives up.
		var tries []*Try
		for range atOnce {
			try, err := b.Await(t.Context(), "daemon", new(int))
			if err != nil || try.Begin(t.Context()) != nil {
				t.Fatal(err)
			}
			tries = append(tries, try)
		}
		ctx, cancel = context.WithTimeoutCause(t.Context(), time.Second, enough)
		defer cancel()
		sixth, _ := b.Await(ctx, "daemon", new(int))
		if err := sixth.Begin(ctx); !errors.Is(err, enough) {
			t.Error(err)
		}
		sixth.Done()
		for _, try := range tries {
			try.Done()
			try.Done()
		}
		// Nor does it cost a place to give up while waiting for the next beginning.
		for range 2 * atOnce {
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			try, _ := b.Await(ctx, "daemon", new(int))
			_ = try.Begin(ctx)
			try.Done()
			cancel()
		}
		if !d.dial(t.Context(), &b) {
			t.Error("nobody gets in any more")
		}
	})
}
