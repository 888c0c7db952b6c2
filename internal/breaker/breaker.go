// Package breaker lets many clients of one daemon come back together without a storm: while it is down, one of them
// tries for all, and when it is back the others follow a few at a time.
package breaker

import (
	"cmp"
	"context"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"

	"github.com/pterosocket/pterosocket-go/internal/backoff"
)

const (
	// probeEvery is how often a daemon that is down is tried.
	probeEvery = 2 * time.Second
	// atOnce is how many handshakes with a daemon are under way at a time, and perSecond how many begin.
	atOnce    = 5
	perSecond = 50
)

// A Breaker knows which hosts are down. Its methods may be called from anywhere. The zero value is ready.
type Breaker struct {
	mu    sync.Mutex
	hosts map[string]*host
}

type host struct {
	slots  *semaphore.Weighted
	starts *rate.Limiter

	// These belong to whoever holds Breaker.mu.
	down    bool
	failed  any           // whose handshake was not answered last; nil: they are
	probed  time.Time     // when it was last tried while it was down
	asked   time.Time     // when the panel was last asked where its servers are
	probing bool          // somebody is trying it, or about to
	news    chan struct{} // closed and replaced when it is up, or wants somebody else to try it
}

// find returns a host. b.mu is held.
func (b *Breaker) find(name string) *host {
	if b.hosts == nil {
		b.hosts = make(map[string]*host)
	}
	h := b.hosts[name]
	if h == nil {
		h = &host{
			slots:  semaphore.NewWeighted(atOnce),
			starts: rate.NewLimiter(perSecond, 1),
			news:   make(chan struct{}),
		}
		b.hosts[name] = h
	}
	return h
}

// A Try is one client's attempt to reach a host. Done ends it. A nil Try is that of a client on its own.
type Try struct {
	b       *Breaker
	h       *host
	who     any
	isProbe bool
	isBegun bool
}

// Await waits until a host is up, or until it is this client's turn to try whether it is. who names the client.
func (b *Breaker) Await(ctx context.Context, name string, who any) (*Try, error) {
	b.mu.Lock()
	t := &Try{b: b, h: b.find(name), who: who}
	b.mu.Unlock()
	if err := t.await(ctx); err != nil {
		return nil, err
	}
	return t, nil
}

func (t *Try) await(ctx context.Context) error {
	for {
		t.b.mu.Lock()
		isDown, isTaken, news := t.h.down, t.h.probing, t.h.news
		if isDown && !isTaken {
			t.h.probing, t.isProbe = true, true
		}
		wait := time.Until(t.h.probed.Add(probeEvery))
		t.b.mu.Unlock()
		switch {
		case !isDown:
			return nil
		case !isTaken:
			err := backoff.Sleep(ctx, wait)
			if err != nil {
				t.Done()
			}
			return err
		}
		select {
		case <-news:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// IsProbe reports whether the host is down and this client tries for all.
func (t *Try) IsProbe() bool { return t != nil && t.isProbe }

// MayAsk reports whether this client may ask the panel where its server is now: one probe in each such time may.
func (t *Try) MayAsk(every time.Duration) bool {
	t.b.mu.Lock()
	defer t.b.mu.Unlock()
	if time.Since(t.h.asked) < every {
		return false
	}
	t.h.asked = time.Now()
	return true
}

// Begin waits until the handshake may begin: if the host goes down meanwhile, until it is up, or it is this client's
// turn.
func (t *Try) Begin(ctx context.Context) error {
	for t != nil {
		if t.h.slots.Acquire(ctx, 1) != nil {
			return context.Cause(ctx)
		}
		if err := t.h.starts.Wait(ctx); err != nil { // at once if ctx ends too early for it
			t.h.slots.Release(1)
			return cmp.Or(context.Cause(ctx), err)
		}
		t.b.mu.Lock()
		t.isBegun = t.isProbe || !t.h.down
		t.b.mu.Unlock()
		if t.isBegun {
			return nil
		}
		t.h.slots.Release(1)
		if err := t.await(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Count counts a handshake with a host that does not wait for its turn: the others come the later.
func (b *Breaker) Count(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.find(name).starts.Reserve()
}

// Answered notes whether the host has answered the handshake. One that has is up. One that has not answered two clients,
// one behind the other, is down; if it is one client alone, that may be its own fault.
func (t *Try) Answered(answered bool) {
	if t == nil {
		return
	}
	t.b.mu.Lock()
	defer t.b.mu.Unlock()
	isDown := !answered && (t.h.down || t.h.failed != nil && t.h.failed != t.who)
	t.h.failed = t.who
	if answered {
		t.h.failed = nil
	}
	if t.h.down != isDown {
		t.h.down = isDown
		t.h.probed = time.Now()
		t.h.asked = t.h.probed // by now the URL was right
		t.h.announce()
	}
}

// Done ends the attempt. It may be called more than once.
func (t *Try) Done() {
	if t == nil {
		return
	}
	t.b.mu.Lock()
	defer t.b.mu.Unlock()
	if t.isBegun {
		t.isBegun = false
		t.h.slots.Release(1)
	}
	if t.isProbe { // somebody else may try now, if it is still down
		t.isProbe = false
		t.h.probing = false
		t.h.probed = time.Now()
		t.h.announce()
	}
}

func (h *host) announce() {
	close(h.news)
	h.news = make(chan struct{})
}
