package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pterosocket/pterosocket-go/pterosocket"
)

const (
	// senders is how many servers' events are on their way to NATS at the same time.
	senders = 32
	// batchesAtOnce leaves room for other relays: NATS takes 50 batches of one stream at a time.
	batchesAtOnce = 12
	// publishTimeout is how long an answer of NATS is waited for, before the relay looks what has become of a message.
	publishTimeout = 5 * time.Second
	// staleFor is how long a replica of the stream may lag behind.
	staleFor = 10 * time.Second
	// batchHeader names the batch that a message ends, so that a relay without an answer finds out whether it was stored.
	batchHeader = "Ptero-Batch"
)

// errFenced means that another relay has written to a server's subjects. Nothing of this one's was written since.
var errFenced = errors.New("another relay has written for this server")

// A publisher writes events into the stream: those of a server in order, and each exactly once. Every write carries the
// sequence of the server's last message. NATS refuses it if another relay has written meanwhile.
type publisher struct {
	js        jetstream.JetStream
	stream    jetstream.Stream
	instance  string
	log       *slog.Logger
	omitStats bool
	isLeaving func(server string) bool // the relay gives the server to another
	isSure    func(server string) bool // the lease of the server's partition certainly holds
	fenced    func(server string)      // called once when errFenced has come; it must not wait

	batches   chan struct{} // a semaphore
	room      chan struct{} // says that there is room again
	published atomic.Uint64
	fences    atomic.Uint64
	failures  atomic.Uint64
	warned    atomic.Int64

	mu     sync.Mutex
	work   sync.Cond // says that ready has grown
	ready  []*outbox // those with something to send, each once
	boxes  map[string]*outbox
	number uint64 // of the last batch
	held   int    // events
	bytes  int
}

func newPublisher(s *store, instance string, log *slog.Logger) *publisher {
	p := &publisher{
		js: s.js, stream: s.stream, instance: instance, log: log,
		batches: make(chan struct{}, batchesAtOnce), room: make(chan struct{}, 1), boxes: make(map[string]*outbox),
	}
	p.work.L = &p.mu
	return p
}

// run sends until ctx ends.
func (p *publisher) run(ctx context.Context) {
	defer context.AfterFunc(ctx, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.work.Broadcast()
	})()
	var workers sync.WaitGroup
	for range senders {
		workers.Go(func() {
			for box := p.next(ctx); box != nil; box = p.next(ctx) {
				p.sendFrom(ctx, box)
			}
		})
	}
	workers.Wait()
}

// next waits for an outbox with something to send; nil: ctx has ended.
func (p *publisher) next(ctx context.Context) *outbox {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.ready) == 0 && ctx.Err() == nil {
		p.work.Wait()
	}
	if ctx.Err() != nil {
		return nil
	}
	box := p.ready[0]
	p.ready[0] = nil
	p.ready = p.ready[1:]
	return box
}

// isReady lets the next free worker send from box. p.mu is held.
func (p *publisher) isReady(box *outbox) {
	box.busy = true
	p.ready = append(p.ready, box)
	p.work.Signal()
}

// add takes an event of the fleet. It waits while the publisher is full.
func (p *publisher) add(ctx context.Context, ev pterosocket.FleetEvent) error {
	it, ok := p.toItem(ev)
	if !ok {
		return nil
	}
	for {
		p.mu.Lock()
		if p.held < maxHeld && p.bytes < maxHeldBytes || it.isLast {
			p.put(ev.Server, it)
			p.mu.Unlock()
			return nil
		}
		p.mu.Unlock()
		select {
		case <-p.room:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// toItem returns the event as it is published; false if it is not.
func (p *publisher) toItem(ev pterosocket.FleetEvent) (item, bool) {
	it := item{server: ev.Server, event: nameOf(ev.Event), isLast: isLast(ev.Event)}
	switch e := ev.Event.(type) {
	case pterosocket.ServerAdded: // the claim was that
		return it, false
	case pterosocket.Stats:
		if p.omitStats {
			return it, false
		}
	case pterosocket.Close:
		if e.Final && e.Err == nil && p.isLeaving(ev.Server) {
			return it, false
		}
	case pterosocket.Gap, pterosocket.Lagged: // see outbox.isCut
		it.cuts = ev.Server != "" && p.isLeaving(ev.Server)
	case pterosocket.ServerRemoved:
		if e.Server.UUID == "" {
			p.log.Warn("a server cannot be found", "server", ev.Server, "error", e.Err)
		}
		// To subscribers, a server that another relay takes over is not removed.
		it.silent = e.Err == nil && p.isLeaving(ev.Server)
	}
	var err error
	if it.data, err = pterosocket.MarshalFleetEvent(ev); err != nil {
		p.log.Warn("an event cannot be published", "server", ev.Server, "error", err)
		it.silent = true
		return it, it.isLast
	}
	return it, true
}

// put puts an item into its server's outbox. Without one, the server was never claimed, and nobody is to see its
// events. p.mu is held.
func (p *publisher) put(server string, it item) {
	box := p.boxes[server]
	if box == nil && server == "" {
		box = &outbox{gone: make(chan struct{})}
		p.boxes[server] = box
	}
	if box == nil {
		return
	}
	if box.isCut = box.isCut || it.cuts; (box.fenced || box.isCut) && !it.isLast {
		return
	}
	box.queue = append(box.queue, it)
	p.held++
	p.bytes += len(it.data) + itemBytes
	if !box.busy {
		p.isReady(box)
	}
}

// finish closes every outbox behind what it holds. The fleet has ended, so nothing more comes.
func (p *publisher) finish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for server := range p.boxes {
		p.put(server, item{isLast: true, silent: true})
	}
}

// sendFrom sends what comes next of an outbox.
func (p *publisher) sendFrom(ctx context.Context, box *outbox) {
	p.mu.Lock()
	batch, fenced := box.take(), box.fenced
	p.mu.Unlock()
	ends := batch[len(batch)-1].isLast
	out := batch
	if ends && batch[len(batch)-1].silent {
		out = batch[:len(batch)-1]
	}
	if !fenced && len(out) > 0 {
		fenced = errors.Is(p.write(ctx, box, out), errFenced)
	}
	p.mu.Lock()
	p.release(batch)
	isNews := fenced && !box.fenced
	box.fenced = fenced
	switch {
	case ends:
		p.closeBox(box)
	case len(box.queue) > 0:
		p.isReady(box)
	default:
		box.busy = false
	}
	p.mu.Unlock()
	if isNews {
		p.fences.Add(1)
	}
	if isNews && !ends {
		p.fenced(box.server)
	}
}

// closeBox ends an outbox, once. p.mu is held.
func (p *publisher) closeBox(box *outbox) {
	if p.boxes[box.server] == box {
		delete(p.boxes, box.server)
		close(box.gone)
	}
}

// release gives the room of items back. p.mu is held.
func (p *publisher) release(items []item) {
	p.held -= len(items)
	for _, it := range items {
		p.bytes -= len(it.data) + itemBytes
	}
	select {
	case p.room <- struct{}{}:
	default:
	}
}

// claim opens a server's outbox with an event that says so in the stream. Whoever wrote before cannot write any more.
// It returns the event's sequence, and whether the server had messages before. It tries until it has, while mayClaim is
// true.
func (p *publisher) claim(ctx context.Context, added pterosocket.FleetEvent, mayClaim func() bool) (seq uint64, isKnown bool, err error) {
	box := &outbox{server: added.Server, gone: make(chan struct{})}
	if err := p.open(ctx, box); err != nil {
		return 0, false, err
	}
	defer func() {
		if err != nil { // nothing is published; the connection's last event, which is still to come, closes the outbox
			p.mu.Lock()
			defer p.mu.Unlock()
			box.fenced = true
		}
	}()
	data, err := pterosocket.MarshalFleetEvent(added)
	if err != nil {
		return 0, false, err
	}
	for {
		if mayClaim() {
			last, _, err := p.last(ctx, box.server, "")
			if err == nil {
				box.expect = last
				err = p.write(ctx, box, []item{{event: nameOf(added.Event), data: data}})
			}
			if err == nil {
				return box.expect, last > 0, nil
			}
			if !errors.Is(err, errFenced) { // else the last one was not, since somebody wrote
				p.warn(err)
			}
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return 0, false, context.Cause(ctx)
		}
	}
}

// open registers an outbox once the server's last one has closed.
func (p *publisher) open(ctx context.Context, box *outbox) error {
	for {
		p.mu.Lock()
		old := p.boxes[box.server]
		if old == nil {
			p.boxes[box.server] = box
		}
		p.mu.Unlock()
		if old == nil {
			return nil
		}
		select {
		case <-old.gone:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// await waits until the outboxes of those servers have closed.
func (p *publisher) await(ctx context.Context, servers func(string) bool) error {
	for {
		p.mu.Lock()
		var gone chan struct{}
		for server, box := range p.boxes {
			if server != "" && servers(server) {
				gone = box.gone
				break
			}
		}
		p.mu.Unlock()
		if gone == nil {
			return nil
		}
		select {
		case <-gone:
		case <-ctx.Done():
			return fmt.Errorf("publishing what was read: %w", context.Cause(ctx))
		}
	}
}

// holds returns how many events wait to be published.
func (p *publisher) holds() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.held
}
