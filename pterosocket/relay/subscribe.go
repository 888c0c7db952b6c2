package relay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pterosocket/pterosocket-go/pterosocket"
)

// A Message is an event from the stream.
type Message struct {
	pterosocket.FleetEvent
	Seq uint64       // its sequence in the stream; later messages have greater ones
	Ack func() error // for a durable subscription: the message was dealt with, and does not come again; otherwise nil
}

// SubscribeOptions say what a subscription gets. The zero value: everything from now on.
type SubscribeOptions struct {
	// Servers are IDs. Empty: all servers.
	Servers []string
	// Events are names, such as console_output and status. Empty: all. Lagged comes always, and Gap with
	// console_output, since they stand for events that are missing.
	Events []string
	// From is where to begin. The zero value: with new events. A durable subscription goes on where it was instead.
	From Start
	// Durable names a subscription that NATS remembers. Messages that were not acknowledged come again after 30 s, and
	// then behind later ones; so do those, up to 16, that were on their way when the last process ended. Several
	// processes with the same name share its messages.
	Durable string
}

// A Start is where in the stream a subscription begins.
type Start struct {
	policy jetstream.DeliverPolicy
	seq    uint64
	at     time.Time
}

// FromNew begins with events that come from now on.
func FromNew() Start { return Start{policy: jetstream.DeliverNewPolicy} }

// FromAll begins with the oldest event in the stream.
func FromAll() Start { return Start{policy: jetstream.DeliverAllPolicy, seq: 1} }

// FromSeq begins with the first event whose sequence is not less than seq. To go on behind a Message, use its Seq + 1.
func FromSeq(seq uint64) Start {
	return Start{policy: jetstream.DeliverByStartSequencePolicy, seq: max(1, seq)}
}

// FromTime begins with the first event that was stored at this time or later.
func FromTime(at time.Time) Start { return Start{policy: jetstream.DeliverByStartTimePolicy, at: at} }

const (
	// waitForAck is how long a durable subscription waits for an acknowledgement.
	waitForAck = 30 * time.Second
	// durableAhead is how many messages of a durable subscription are read ahead. They wait for their acknowledgement
	// from then on.
	durableAhead = 16
	// idleCheck is how long a subscription gets nothing before it looks whether the stream was made anew.
	idleCheck = 5 * time.Second
	// unacked is how many messages of a durable subscription may wait for one.
	unacked = 1000
)

// Subscribe returns the events that relays write, in the order of the stream, which is that of the daemon for each
// server; only what comes again to a durable subscription is out of order. It goes on through outages of NATS. The channel is closed when ctx ends, or nc is closed. nc stays the
// caller's.
//
// The stream keeps events for as long as its limits say, so a slow consumer loses nothing before that. If the stream
// drops events that the subscription has not had, a Lagged with Server "" says how many at most. It does not say what was
// dropped while no process had a durable subscription open.
//
// It fails with an error for which errors.Is(err, ErrNATS) holds if there is no stream yet, and with
// pterosocket.ErrInvalidConfig.
func Subscribe(ctx context.Context, nc *nats.Conn, opt SubscribeOptions) (<-chan Message, error) {
	filters, err := opt.filters()
	if err != nil {
		return nil, err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNATS, err)
	}
	stream, err := js.Stream(ctx, streamName)
	if err != nil {
		return nil, noRelays(err)
	}
	s := &subscription{nc: nc, js: js, stream: stream, opt: opt, filters: filters, out: make(chan Message)}
	switch last := stream.CachedInfo().State.LastSeq; {
	case opt.Durable != "":
	case opt.From == Start{} || opt.From == FromNew(): // fixed now, so that nothing is missed if it has to be opened again
		s.last = last
	case opt.From.policy == jetstream.DeliverByStartSequencePolicy && opt.From.seq-1 <= last:
		s.last = opt.From.seq - 1
	}
	messages, err := s.open(ctx)
	if err != nil {
		return nil, unusable(err)
	}
	go s.run(ctx, messages) // joined by the closing of s.out
	return s.out, nil
}

// filters returns the subjects of the events.
func (o SubscribeOptions) filters() ([]string, error) {
	servers, events := slices.Clone(o.Servers), slices.Clone(o.Events)
	for _, name := range slices.Concat(servers, events) {
		if !isToken(name) {
			return nil, fmt.Errorf("%w: %q is not the name of a server or an event", pterosocket.ErrInvalidConfig, name)
		}
	}
	if strings.ContainsAny(o.Durable, " \t\r\n.*>/\\\x00") {
		return nil, fmt.Errorf("%w: Durable: %q must not hold spaces, dots, slashes or wildcards", pterosocket.ErrInvalidConfig, o.Durable)
	}
	if len(events) > 0 {
		events = append(events, pterosocket.Lagged{}.Name())
		if slices.Contains(events, pterosocket.ConsoleOutput{}.Name()) {
			events = append(events, pterosocket.Gap{}.Name())
		}
	}
	switch {
	case len(servers) == 0 && len(events) == 0:
		return []string{eventPrefix + ">"}, nil
	case len(servers) == 0:
		servers = []string{"*"}
	case len(events) == 0:
		events = []string{">"}
	}
	var all []string
	for _, server := range servers {
		for _, event := range events {
			all = append(all, eventSubject(server, event))
		}
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// errNewStream means that the stream was deleted and made again, so that its sequences begin anew.
var errNewStream = errors.New("the stream was made anew")

// A subscription follows the stream.
type subscription struct {
	nc      *nats.Conn
	js      jetstream.JetStream
	stream  jetstream.Stream
	opt     SubscribeOptions
	filters []string
	out     chan Message

	last    uint64 // sequence of the last message; 0: there was none
	isFresh bool   // no message has come since it was opened
	holes   []hole // since the last check
	checked time.Time
}

// A hole is what lies between two messages of a subscription.
type hole struct{ after, before uint64 }

const maxHoles = 4096

// open begins to read the stream: behind the last message, if there was one.
func (s *subscription) open(ctx context.Context) (jetstream.MessagesContext, error) {
	consumer, err := s.consumer(ctx)
	if err != nil {
		return nil, err
	}
	s.isFresh = true
	if s.opt.Durable != "" {
		return consumer.Messages(jetstream.PullMaxMessages(durableAhead))
	}
	return consumer.Messages(jetstream.PullMaxMessages(500))
}

func (s *subscription) consumer(ctx context.Context) (jetstream.Consumer, error) {
	from := s.opt.From
	if from == (Start{}) {
		from = FromNew()
	}
	if s.opt.Durable != "" {
		return s.durable(ctx, from)
	}
	if s.last > 0 {
		info, err := s.stream.Info(ctx)
		if err != nil {
			return nil, err
		}
		if info.State.LastSeq < s.last { // the stream was made anew
			s.last, from = 0, FromAll()
		} else {
			from = FromSeq(s.last + 1)
		}
	}
	cfg := jetstream.OrderedConsumerConfig{FilterSubjects: s.filters, DeliverPolicy: from.policy, InactiveThreshold: 5 * time.Minute}
	switch from.policy {
	case jetstream.DeliverByStartSequencePolicy:
		cfg.OptStartSeq = from.seq
	case jetstream.DeliverByStartTimePolicy:
		cfg.OptStartTime = &from.at
	}
	return s.js.OrderedConsumer(ctx, streamName, cfg)
}

// durable opens the named consumer, or makes it.
func (s *subscription) durable(ctx context.Context, from Start) (jetstream.Consumer, error) {
	consumer, err := s.js.Consumer(ctx, streamName, s.opt.Durable)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		cfg := jetstream.ConsumerConfig{
			Durable: s.opt.Durable, FilterSubjects: s.filters, DeliverPolicy: from.policy,
			AckPolicy: jetstream.AckExplicitPolicy, AckWait: waitForAck, MaxAckPending: unacked,
		}
		switch from.policy {
		case jetstream.DeliverByStartSequencePolicy:
			cfg.OptStartSeq = from.seq
		case jetstream.DeliverByStartTimePolicy:
			cfg.OptStartTime = &from.at
		}
		return s.js.CreateOrUpdateConsumer(ctx, streamName, cfg)
	}
	if err != nil {
		return nil, err
	}
	cfg := consumer.CachedInfo().Config
	have := slices.Clone(cfg.FilterSubjects)
	if cfg.FilterSubject != "" {
		have = []string{cfg.FilterSubject}
	}
	slices.Sort(have)
	if slices.Equal(have, s.filters) {
		return consumer, nil
	}
	cfg.FilterSubject, cfg.FilterSubjects = "", s.filters
	return s.js.UpdateConsumer(ctx, streamName, cfg)
}

// run hands messages on until ctx ends or the connection to NATS is closed.
func (s *subscription) run(ctx context.Context, messages jetstream.MessagesContext) {
	defer close(s.out)
	for {
		_ = s.follow(ctx, messages) // whatever went wrong, it is tried again
		messages.Stop()
		for {
			if ctx.Err() != nil || s.nc.IsClosed() {
				return
			}
			select {
			case <-time.After(250 * time.Millisecond):
			case <-ctx.Done():
				return
			}
			again, err := s.open(ctx)
			if err == nil {
				messages = again
				break
			}
		}
	}
}

// follow hands messages on until that fails.
func (s *subscription) follow(ctx context.Context, messages jetstream.MessagesContext) error {
	for {
		limited, cancel := context.WithTimeout(ctx, idleCheck)
		m, err := messages.Next(jetstream.NextContext(limited))
		cancel()
		if err != nil && limited.Err() != nil && ctx.Err() == nil {
			if info, err := s.stream.Info(ctx); err == nil && info.State.LastSeq < s.last {
				return errNewStream
			}
			continue
		}
		if err != nil {
			return err
		}
		meta, err := m.Metadata()
		if err != nil {
			return err
		}
		seq := meta.Sequence.Stream
		message := Message{FleetEvent: decode(m), Seq: seq}
		if s.opt.Durable != "" {
			message.Ack = m.Ack
		}
		if dropped := s.dropped(ctx, seq, meta.NumPending); dropped > 0 {
			lagged := pterosocket.FleetEvent{Time: time.Now(), Event: pterosocket.Lagged{Dropped: dropped}}
			if err := s.hand(ctx, Message{FleetEvent: lagged, Seq: seq - 1, Ack: noAck(message.Ack)}); err != nil {
				return err
			}
		}
		if err := s.hand(ctx, message); err != nil {
			return err
		}
		s.last, s.isFresh = max(s.last, seq), false
	}
}

func (s *subscription) hand(ctx context.Context, message Message) error {
	select {
	case s.out <- message:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// noAck returns an Ack that does nothing, for a message that is not in the stream.
func noAck(ack func() error) func() error {
	if ack == nil {
		return nil
	}
	return func() error { return nil }
}

// dropped returns how many messages at most the stream has dropped before the subscription had them. The sequences that
// a subscription does not get are mostly those of other servers, so NATS is asked where the stream begins: only if the
// subscription lags behind, and once a second.
func (s *subscription) dropped(ctx context.Context, seq, pending uint64) (n int) {
	if s.last > 0 && seq > s.last+1 && (pending > 0 || s.isFresh) {
		s.holes = append(s.holes, hole{s.last, seq})
	}
	if len(s.holes) == 0 || len(s.holes) < maxHoles && pending > 0 && time.Since(s.checked) < time.Second {
		return 0
	}
	info, err := s.stream.Info(ctx)
	if err != nil {
		return 0
	}
	for _, h := range s.holes {
		if end := min(info.State.FirstSeq, h.before); end > h.after+1 {
			n += int(end - h.after - 1)
		}
	}
	s.holes, s.checked = s.holes[:0], time.Now()
	return n
}

// decode returns a message's event. What another version has written is an Unknown with its JSON.
func decode(m jetstream.Msg) pterosocket.FleetEvent {
	ev, err := pterosocket.UnmarshalFleetEvent(m.Data())
	if err == nil {
		return ev
	}
	tokens := strings.Split(strings.TrimPrefix(m.Subject(), eventPrefix), ".")
	ev = pterosocket.FleetEvent{Time: time.Now(), Event: pterosocket.Unknown{Event: tokens[len(tokens)-1], Args: []string{string(m.Data())}}}
	if tokens[0] != fleetToken {
		ev.Server = tokens[0]
	}
	if meta, err := m.Metadata(); err == nil {
		ev.Time = meta.Timestamp
	}
	return ev
}
