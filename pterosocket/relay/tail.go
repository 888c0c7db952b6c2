package relay

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pterosocket/pterosocket-go/pterosocket"
)

// tailLines is how many lines Config.After uses.
const tailLines = 512

// tail returns the last console lines of a server that are in the stream before the message with sequence end, which is
// a server_added of the same server. They follow each other in the daemon's log too: a Gap or a Lagged among them begins
// anew. The answer is empty, not nil, if there are none. It tries until ctx ends.
func (s *store) tail(ctx context.Context, server string, end uint64) ([]string, error) {
	for {
		lines, err := s.tailOnce(ctx, server, end)
		if err == nil {
			return lines, nil
		}
		if info, infoErr := s.stream.Info(ctx); infoErr == nil && (info.State.FirstSeq > end || info.State.LastSeq < end) {
			return []string{}, nil // the stream was emptied meanwhile
		}
		select {
		case <-time.After(250 * time.Millisecond):
		case <-ctx.Done():
			return nil, fmt.Errorf("reading the server's last lines from the stream: %w (%w)", context.Cause(ctx), err)
		}
	}
}

// tailOnce looks back in ever larger steps, until enough lines follow. It reads up to the message at end, which a
// replica of the stream has only when it has all before it.
func (s *store) tailOnce(ctx context.Context, server string, end uint64) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	start := end
	for back := uint64(4096); ; back *= 8 {
		start = max(1, start-min(start, back))
		consumer, err := s.js.OrderedConsumer(ctx, streamName, jetstream.OrderedConsumerConfig{
			FilterSubjects: []string{
				eventSubject(server, pterosocket.ConsoleOutput{}.Name()), eventSubject(server, pterosocket.ServerAdded{}.Name()),
				eventSubject(server, pterosocket.Gap{}.Name()), eventSubject(server, pterosocket.Lagged{}.Name()),
			},
			DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: start, InactiveThreshold: time.Minute,
		})
		if err != nil {
			return nil, err
		}
		if consumer.CachedInfo().NumPending <= tailLines && start > 1 {
			continue
		}
		return readLines(ctx, consumer, end)
	}
}

// readLines reads a server's lines up to the message with sequence end.
func readLines(ctx context.Context, consumer jetstream.Consumer, end uint64) ([]string, error) {
	messages, err := consumer.Messages()
	if err != nil {
		return nil, err
	}
	defer messages.Stop()
	lines, isBroken := []string{}, false
	for {
		m, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return nil, err
		}
		meta, err := m.Metadata()
		if err != nil {
			return nil, err
		}
		if meta.Sequence.Stream >= end {
			return lines[max(0, len(lines)-tailLines):], nil
		}
		ev, err := pterosocket.UnmarshalFleetEvent(m.Data())
		if err != nil {
			continue // another version wrote it
		}
		switch e := ev.Event.(type) {
		case pterosocket.Gap, pterosocket.Lagged:
			isBroken = true
		case pterosocket.ConsoleOutput:
			if isBroken {
				lines, isBroken = lines[:0], false
			}
			lines = append(lines, e.Line)
		}
	}
}
