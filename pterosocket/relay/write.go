package relay

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"github.com/pterosocket/pterosocket-go/pterosocket"
)

// write writes items behind the last message of the server, and tries until it has. It returns errFenced if another
// relay has written, and the cause of ctx when that ends.
func (p *publisher) write(ctx context.Context, box *outbox, items []item) error {
	p.mu.Lock()
	p.number++
	id := p.instance + "." + strconv.FormatUint(p.number, 10)
	p.mu.Unlock()
	began, pause, expect := time.Now(), 10*time.Millisecond, box.expect
	for {
		seq, err := p.try(ctx, box.server, id, expect, p.fitting(items))
		if err == nil {
			box.expect = seq
			p.published.Add(uint64(len(items)))
			return nil
		}
		expect = box.expect
		if isWrongSequence(err) && box.server != "" {
			last, ours, lookErr := p.last(ctx, box.server, id)
			switch {
			case lookErr != nil:
				err = lookErr
			case ours: // it was stored, but the answer was lost
				box.expect = last
				p.published.Add(uint64(len(items)))
				return nil
			case last == 0 && p.isSure(box.server): // all of the server's messages have become too old, and this was quiet so long
				expect = 0
			case last == 0: // another may have written, and that has become too old
				return errFenced
			case last > expect, last < expect && time.Since(began) > staleFor: // less: a replica that lags behind, or a new stream
				return errFenced
			}
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if !isTooManyBatches(err) {
			p.warn(err)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		pause = min(2*pause, time.Second)
	}
}

// headerBytes is more than what the headers and the subject of a message take.
const headerBytes = 1 << 10

// fitting returns items with a Lagged in the place of each that NATS does not take, since it is too long.
func (p *publisher) fitting(items []item) []item {
	most := int(p.js.Conn().MaxPayload()) - headerBytes
	if most <= 0 || !slices.ContainsFunc(items, func(it item) bool { return len(it.data) > most }) {
		return items
	}
	items = slices.Clone(items)
	for i, it := range items {
		if len(it.data) <= most {
			continue
		}
		lagged := pterosocket.FleetEvent{Server: it.server, Time: time.Now(), Event: pterosocket.Lagged{Dropped: 1}}
		items[i].event = nameOf(lagged.Event)
		items[i].data, _ = pterosocket.MarshalFleetEvent(lagged) // it holds nothing that JSON does not have
		p.log.Warn("an event is longer than a message of NATS may be", "server", it.server, "event", it.event, "bytes", len(it.data), "most", most)
	}
	return items
}

// try writes items once: one message, or one batch that is stored as a whole.
func (p *publisher) try(ctx context.Context, server, id string, expect uint64, items []item) (uint64, error) {
	if !p.js.Conn().IsConnected() {
		return 0, nats.ErrDisconnected // nothing goes into the client's buffer, which would send it much later
	}
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	messages := make([]*nats.Msg, len(items))
	for i, it := range items {
		messages[i] = &nats.Msg{Subject: eventSubject(server, it.event), Data: it.data, Header: nats.Header{}}
	}
	if server != "" {
		messages[0].Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(expect, 10))
		messages[0].Header.Set(jetstream.ExpectedLastSubjSeqSubjHeader, serverSubjects(server))
	}
	messages[len(messages)-1].Header.Set(batchHeader, id)
	if len(messages) == 1 {
		ack, err := p.js.PublishMsg(ctx, messages[0])
		if err != nil {
			return 0, err
		}
		return ack.Sequence, nil
	}
	select {
	case p.batches <- struct{}{}:
		defer func() { <-p.batches }()
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
	ack, err := jetstreamext.PublishMsgBatch(ctx, p.js, messages, jetstreamext.BatchFlowControl{AckFirst: false})
	if err != nil {
		return 0, err
	}
	return ack.Sequence, nil
}

// last returns the sequence of a server's last message, and whether it ends the batch id; 0: there is none.
func (p *publisher) last(ctx context.Context, server, id string) (seq uint64, ours bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	m, err := p.stream.GetLastMsgForSubject(ctx, serverSubjects(server))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	return m.Sequence, m.Header.Get(batchHeader) == id, nil
}

// warn tells that publishing fails, once in ten seconds at most.
func (p *publisher) warn(err error) {
	p.failures.Add(1)
	now, last := time.Now().UnixNano(), p.warned.Load()
	if now-last < int64(10*time.Second) || !p.warned.CompareAndSwap(last, now) {
		return
	}
	p.mu.Lock()
	held := p.held
	p.mu.Unlock()
	p.log.Warn("NATS does not take events; they are kept, within bounds", "error", explain(err), "held", held)
}
