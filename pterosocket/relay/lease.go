package relay

import (
	"context"
	"log/slog"
	"maps"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	partitionPrefix = "partition."
	relayPrefix     = "relay."
	// leaseWrites is how many leases are written at the same time.
	leaseWrites = 16
)

// leases hold a relay's partitions: keys in a bucket whose entries expire. Each is made only if it is not there, and
// renewed only with its expected revision. So a partition has one owner by NATS' own reckoning. Who was paused finds
// that out by its next renewal; until then the stream refuses what it writes.
//
// One goroutine, run, changes what is held. It tells gained and lost at once. Partitions that are given up are lost
// first. Their leases are kept until drained returns, so that all that was read is in the stream.
type leases struct {
	kv         jetstream.KeyValue
	instance   string
	partitions int
	lease      time.Duration
	log        *slog.Logger
	gained     func(partitions []int)
	lost       func(partitions []int)
	drained    func(ctx context.Context, partition int) error // waits until nothing of it is left to publish
	pace       func() int                                     // how many partitions to give up in a third of a lease, when another relay has joined

	changed chan struct{} // says that balance has something to do
	empty   chan drained  // partitions of which nothing is left to publish

	mu      sync.Mutex
	held    map[int]*holding
	seen    map[string]sighting // the keys of the bucket, as watched
	leaving bool                // everything is given up
	gaveUp  time.Time           // when partitions were last given up
	isAway  bool                // NATS did not answer the last time
}

// A holding is a partition that this relay owns.
type holding struct {
	revision uint64
	until    time.Time // by this machine's clock, the lease holds until then whatever happens
	isGoing  bool      // it is given up
}

// A drained is a partition that was given up, and its holding.
type drained struct {
	partition int
	holding   *holding
}

// A sighting is a key of the bucket.
type sighting struct {
	owner string
	at    time.Time // when it was last written, at the latest
}

func newLeases(kv jetstream.KeyValue, instance string, cfg Config) *leases {
	return &leases{
		kv: kv, instance: instance, partitions: cfg.Partitions, lease: cfg.Lease, log: cfg.Logger,
		changed: make(chan struct{}, 1), empty: make(chan drained), held: make(map[int]*holding), seen: make(map[string]sighting),
	}
}

// isSure reports whether the lease of a partition certainly holds now.
func (l *leases) isSure(partition int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.held[partition]
	return h != nil && time.Now().Before(h.until)
}

// count returns how many partitions are held, and of how many the lease has ended by this machine's clock, since NATS
// does not answer.
func (l *leases) count() (held, unsure int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, h := range l.held {
		if !time.Now().Before(h.until) {
			unsure++
		}
	}
	return len(l.held), unsure
}

// relays returns how many relays live, with this one.
func (l *leases) relays() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.others()) + 1
}

// leave gives everything up. run returns when that is done.
func (l *leases) leave() {
	l.mu.Lock()
	l.leaving = true
	l.mu.Unlock()
	l.poke()
}

func (l *leases) poke() {
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

// run, the only goroutine that changes what is held, keeps the leases until leave has given them all up, or ctx ends. Then whatever is still held is lost.
func (l *leases) run(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer l.loseAll()
	first := make(chan struct{})
	seen := first
	all.Go(func() { l.watch(ctx, seen) })
	beat := time.NewTicker(l.lease / 3)
	defer beat.Stop()
	l.beat(ctx)
	for isReady, settled := false, (<-chan time.Time)(nil); !isReady; { // whoever starts at the same time is heard of first
		select {
		case <-first:
			first, settled = nil, time.After(min(time.Second, l.lease/4))
		case <-settled:
			isReady = true
		case <-l.changed:
			isReady = l.isLeaving()
		case <-ctx.Done():
			return
		}
	}
	for {
		l.balance(ctx, &all)
		if l.hasLeft() {
			l.forget(ctx, relayPrefix+l.instance, 0)
			return
		}
		wake := time.NewTimer(l.nextExpiry())
		select {
		case <-beat.C:
			l.beat(ctx)
		case <-l.changed:
		case <-wake.C:
		case d := <-l.empty:
			l.drop(ctx, d)
		case <-ctx.Done():
		}
		wake.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

func (l *leases) isLeaving() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.leaving
}

func (l *leases) hasLeft() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.leaving && len(l.held) == 0
}

// watch follows the bucket until ctx ends. It closes first once it has seen what is there. The relay's own renewals are
// seen too, so a watcher that has seen nothing for as long as a lease is broken, and is replaced.
func (l *leases) watch(ctx context.Context, first chan struct{}) {
	for ctx.Err() == nil {
		watcher, err := l.kv.WatchAll(ctx)
		if err != nil {
			l.log.Debug("the leases cannot be watched", "error", explain(err))
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
			continue
		}
		stop := func() { _ = watcher.Stop() } // it may have ended already
		broken := time.AfterFunc(l.lease, stop)
		ended := context.AfterFunc(ctx, stop)
		for entry := range watcher.Updates() {
			broken.Reset(l.lease)
			if entry != nil {
				l.see(entry)
			} else if first != nil {
				close(first)
				first = nil
			}
		}
		broken.Stop()
		ended()
	}
}

// see notes a change in the bucket.
func (l *leases) see(entry jetstream.KeyValueEntry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before, wasThere := l.seen[entry.Key()]
	if entry.Operation() != jetstream.KeyValuePut {
		delete(l.seen, entry.Key())
		if wasThere {
			l.poke()
		}
		return
	}
	owner := string(entry.Value())
	l.seen[entry.Key()] = sighting{owner, time.Now()}
	if before.owner != owner {
		l.poke()
	}
}

// nextExpiry returns how long it takes until the next key expires that others hold, at most a minute.
func (l *leases) nextExpiry() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	next := time.Minute
	for _, s := range l.seen {
		if s.owner != l.instance {
			next = min(next, time.Until(s.at.Add(l.lease)))
		}
	}
	return max(next, 50*time.Millisecond)
}

// others returns the other relays that live. l.mu is held.
func (l *leases) others() (relays []string) {
	for key, s := range l.seen {
		if name, ok := strings.CutPrefix(key, relayPrefix); ok && name != l.instance && time.Since(s.at) < l.lease {
			relays = append(relays, name)
		}
	}
	return relays
}

// beat renews everything.
func (l *leases) beat(ctx context.Context) {
	l.mu.Lock()
	leaving := l.leaving
	held := make([]int, 0, len(l.held))
	for p := range l.held {
		held = append(held, p)
	}
	l.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, l.lease/3)
	defer cancel()
	if !leaving {
		_, err := l.kv.Put(ctx, relayPrefix+l.instance, []byte(l.instance))
		if err != nil && !l.isAway {
			l.log.Warn("NATS does not answer; this relay keeps its servers until it hears that another has them", "error", explain(err))
		}
		l.isAway = err != nil
	}
	var gone []int
	var mu sync.Mutex
	each(held, func(p int) {
		if !l.renew(ctx, p) {
			mu.Lock()
			defer mu.Unlock()
			gone = append(gone, p)
		}
	})
	if len(gone) > 0 {
		l.lose(gone)
	}
}

// lose forgets partitions that others have.
func (l *leases) lose(partitions []int) {
	l.log.Warn("lost the lease of partitions to another relay", "partitions", len(partitions))
	l.mu.Lock()
	for _, p := range partitions {
		delete(l.held, p)
	}
	l.mu.Unlock()
	l.lost(partitions)
}

func (l *leases) loseAll() {
	l.mu.Lock()
	var all []int
	for p := range l.held {
		all = append(all, p)
	}
	clear(l.held)
	l.mu.Unlock()
	if len(all) > 0 {
		l.lost(all)
	}
}

// balance takes partitions up to the relay's share, or gives up what is too much.
func (l *leases) balance(ctx context.Context, all *sync.WaitGroup) {
	l.mu.Lock()
	share := 0
	if !l.leaving {
		share = shareOf(l.instance, l.others(), l.partitions)
	}
	maps.DeleteFunc(l.seen, func(_ string, s sighting) bool { return time.Since(s.at) >= l.lease })
	var keeps, free, going []int
	var holdings []*holding // of going
	for p := range l.partitions {
		key := partitionPrefix + strconv.Itoa(p)
		_, isSeen := l.seen[key]
		switch h := l.held[p]; {
		case h != nil && !h.isGoing:
			keeps = append(keeps, p)
		case h == nil && !isSeen:
			free = append(free, p)
		}
	}
	if tooMany := len(keeps) - share; tooMany > 0 && l.leaving {
		going = keeps[share:]
	} else if tooMany > 0 && time.Since(l.gaveUp) >= l.lease/3 { // not all at once, since the others need a token for each server
		going, l.gaveUp = keeps[len(keeps)-min(tooMany, max(1, l.pace())):], time.Now()
	}
	if len(going) > 0 {
		for _, p := range going {
			l.held[p].isGoing = true
			holdings = append(holdings, l.held[p])
		}
	}
	l.mu.Unlock()
	if len(going) > 0 {
		l.log.Info("giving up partitions", "partitions", len(going), "of", len(keeps), "share", share)
		l.lost(going)
		for i, p := range going {
			all.Go(func() {
				if err := l.drained(ctx, p); err != nil {
					return
				}
				select {
				case l.empty <- drained{p, holdings[i]}:
				case <-ctx.Done():
				}
			})
		}
	}
	if missing := share - len(keeps); missing > 0 && len(free) > 0 {
		rand.Shuffle(len(free), func(i, j int) { free[i], free[j] = free[j], free[i] })
		l.acquire(ctx, free[:min(missing, len(free))])
	}
}
