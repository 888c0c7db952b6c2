package relay

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pterosocket/pterosocket-go/pterosocket"
)

// stateEvery is how often the snapshots in NATS are brought up to date.
const stateEvery = 5 * time.Second

// keepStates writes the snapshots of the relay's servers that have changed, until ctx ends. Each is written only if
// nobody else has written it since, so that a relay that was paused overwrites nothing.
func (r *Relay) keepStates(ctx context.Context) {
	written := make(map[string]state)
	every(ctx, stateEvery, func() { r.writeStates(ctx, written) })
}

// A state is what was last written of a server.
type state struct {
	revision uint64
	data     []byte
}

func (r *Relay) writeStates(ctx context.Context, written map[string]state) {
	ctx, cancel := context.WithTimeout(ctx, stateEvery)
	defer cancel()
	var mu sync.Mutex
	var group sync.WaitGroup
	slots := make(chan struct{}, leaseWrites)
	isHere := make(map[string]bool)
	for _, s := range r.fleet.Snapshot() {
		id := s.Server.ID
		isHere[id] = true
		if !r.isSure(id) || r.isLeaving(id) {
			continue
		}
		data, err := json.Marshal(s)
		if err != nil { // a number that JSON does not have
			continue
		}
		mu.Lock()
		last := written[id]
		mu.Unlock()
		if bytes.Equal(last.data, data) {
			continue
		}
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			revision := r.store.writeState(ctx, id, data, last.revision)
			mu.Lock()
			defer mu.Unlock()
			if written[id] = (state{revision, data}); revision == 0 {
				delete(written, id)
			}
		})
	}
	group.Wait()
	for id, last := range written {
		switch {
		case r.isLeaving(id): // another relay writes it now
			delete(written, id)
		case !isHere[id] && r.isSure(id): // it has left the fleet
			_ = r.store.states.Delete(ctx, id, jetstream.LastRevision(last.revision)) // if another has written since, it stays
			delete(written, id)
		}
	}
}

// writeState writes a snapshot over the one with this revision, or over any if that is 0. It returns the new revision;
// 0: it was not written, so the next try is over any.
func (s *store) writeState(ctx context.Context, server string, data []byte, revision uint64) uint64 {
	if revision == 0 {
		entry, err := s.states.Get(ctx, server)
		switch {
		case err == nil:
			revision = entry.Revision()
		case !errors.Is(err, jetstream.ErrKeyNotFound):
			return 0
		}
	}
	var err error
	if revision == 0 {
		revision, err = s.states.Create(ctx, server, data)
	} else {
		revision, err = s.states.Update(ctx, server, data, revision)
	}
	if err != nil {
		return 0
	}
	return revision
}

// hasState reports whether a relay had the server before. It asks until NATS answers, or ctx ends.
func (s *store) hasState(ctx context.Context, server string) bool {
	for {
		_, err := s.states.Get(ctx, server)
		if err == nil || errors.Is(err, jetstream.ErrKeyNotFound) {
			return err == nil
		}
		select {
		case <-time.After(250 * time.Millisecond):
		case <-ctx.Done():
			return false
		}
	}
}

// Snapshot returns what the relays know of all servers. They bring it up to date every five seconds. It includes
// servers whose relay has just died: their LastFrame and Since stay what they were.
func Snapshot(ctx context.Context, nc *nats.Conn) ([]pterosocket.ServerSnapshot, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNATS, err)
	}
	states, err := js.KeyValue(ctx, stateBucket)
	if err != nil {
		return nil, noRelays(err)
	}
	watcher, err := states.WatchAll(ctx, jetstream.IgnoreDeletes())
	if err != nil {
		return nil, unusable(err)
	}
	defer func() { _ = watcher.Stop() }()
	var all []pterosocket.ServerSnapshot
	for {
		select {
		case entry, ok := <-watcher.Updates():
			if !ok {
				return nil, unusable(nats.ErrConnectionClosed)
			}
			if entry == nil {
				return all, nil
			}
			var s pterosocket.ServerSnapshot
			if err := json.Unmarshal(entry.Value(), &s); err != nil {
				return nil, fmt.Errorf("the snapshot of %s: %w", entry.Key(), err)
			}
			all = append(all, s)
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// noRelays explains that there is no stream or bucket.
func noRelays(err error) error {
	if errors.Is(err, jetstream.ErrBucketNotFound) || errors.Is(err, jetstream.ErrStreamNotFound) {
		return fmt.Errorf("%w: no relay has run on this NATS yet; start pterorelay: %w", ErrNATS, err)
	}
	return unusable(err)
}
