package relay

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// each calls do for all, some at the same time.
func each(all []int, do func(int)) {
	var group sync.WaitGroup
	slots := make(chan struct{}, leaseWrites)
	for _, p := range all {
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			do(p)
		})
	}
	group.Wait()
}

// renew renews the lease of a partition. It returns false if another relay has it. If NATS does not answer, nobody has
// taken it as far as is known, and the relay keeps it.
func (l *leases) renew(ctx context.Context, partition int) bool {
	l.mu.Lock()
	h := l.held[partition]
	l.mu.Unlock()
	key, start := partitionPrefix+strconv.Itoa(partition), time.Now()
	revision, err := l.kv.Update(ctx, key, []byte(l.instance), h.revision)
	if isWrongSequence(err) {
		var entry jetstream.KeyValueEntry
		entry, err = l.kv.Get(ctx, key)
		switch {
		case errors.Is(err, jetstream.ErrKeyNotFound): // it has expired, and nobody has taken it
			if revision, err = l.kv.Create(ctx, key, []byte(l.instance)); isWrongSequence(err) {
				return false
			}
		case err == nil && string(entry.Value()) == l.instance: // the answer to an earlier renewal was lost
			revision, err = l.kv.Update(ctx, key, []byte(l.instance), entry.Revision())
		case err == nil:
			return false
		}
	}
	if err != nil {
		return true
	}
	l.mu.Lock()
	h.revision, h.until = revision, start.Add(l.lease)
	l.mu.Unlock()
	return true
}

// acquire takes partitions that nobody seems to have.
func (l *leases) acquire(ctx context.Context, free []int) {
	var mu sync.Mutex
	var taken []int
	each(free, func(p int) {
		ctx, cancel := context.WithTimeout(ctx, l.lease/3)
		defer cancel()
		key, start := partitionPrefix+strconv.Itoa(p), time.Now()
		revision, err := l.kv.Create(ctx, key, []byte(l.instance))
		if err != nil {
			l.mu.Lock() // somebody has it, or NATS does not answer: look again soon
			defer l.mu.Unlock()
			if _, isSeen := l.seen[key]; !isSeen {
				l.seen[key] = sighting{"", time.Now().Add(250*time.Millisecond - l.lease)}
			}
			return
		}
		l.mu.Lock()
		l.held[p] = &holding{revision: revision, until: start.Add(l.lease)}
		l.mu.Unlock()
		mu.Lock()
		defer mu.Unlock()
		taken = append(taken, p)
	})
	if len(taken) > 0 {
		l.log.Info("took over partitions", "partitions", len(taken))
		l.gained(taken)
	}
}

// drop ends the lease of a partition that is drained, and of those that are by now. One that was lost meanwhile, and
// perhaps taken anew, is not concerned.
func (l *leases) drop(ctx context.Context, first drained) {
	revisions := make(map[int]uint64)
	for d, more := first, true; more; {
		l.mu.Lock()
		if l.held[d.partition] == d.holding {
			revisions[d.partition] = d.holding.revision
			delete(l.held, d.partition)
		}
		l.mu.Unlock()
		select {
		case d = <-l.empty:
		default:
			more = false
		}
	}
	each(slices.Collect(maps.Keys(revisions)), func(p int) {
		l.forget(ctx, partitionPrefix+strconv.Itoa(p), revisions[p])
	})
}

// forget deletes a key, so that others need not wait until it expires.
func (l *leases) forget(ctx context.Context, key string, revision uint64) {
	ctx, cancel := context.WithTimeout(ctx, l.lease/3)
	defer cancel()
	var err error
	if revision > 0 {
		err = l.kv.Delete(ctx, key, jetstream.LastRevision(revision))
	} else {
		err = l.kv.Delete(ctx, key)
	}
	if err != nil {
		l.log.Debug("a lease could not be ended; it expires", "key", key, "error", err)
	}
}
