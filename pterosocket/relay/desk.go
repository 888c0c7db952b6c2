package relay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/pterosocket/pterosocket-go/pterosocket"
)

const (
	// atWork is how many requests one relay works on.
	atWork = 1024
	// shortest and longest are how long a relay works on a request whose caller has no deadline: one that only sends or
	// reads, and one that waits for a game.
	shortest, longest = 30 * time.Second, 10 * time.Minute
	// awaitFor is how long one request waits for a state. The caller asks again, perhaps another relay by then.
	awaitFor = 10 * time.Second
	// replyBytes is about how much of an answer goes into one message.
	replyBytes = 256 << 10
)

// errCallerGone is the cause of the end of a request whose caller has gone.
var errCallerGone = errors.New("the caller has gone")

// A desk takes requests for the servers of the relay's partitions: a NATS service for each partition.
type desk struct {
	relay *Relay
	ctx   context.Context
	end   context.CancelFunc
	group sync.WaitGroup // requests at work
	slots chan struct{}

	mu       sync.Mutex
	services map[int]micro.Service
}

func newDesk(ctx context.Context, r *Relay) *desk {
	d := &desk{relay: r, slots: make(chan struct{}, atWork), services: make(map[int]micro.Service)}
	d.ctx, d.end = context.WithCancel(ctx)
	return d
}

// open begins to take requests for partitions.
func (d *desk) open(partitions []int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.shutLocked(partitions) // should one be there still
	for _, p := range partitions {
		service, err := micro.AddService(d.relay.nc, micro.Config{
			Name: "pterorelay", Version: "1.0.0", Description: "commands for the game servers of one partition",
			Metadata: map[string]string{"relay": d.relay.cfg.Name, "instance": d.relay.instance, "partition": strconv.Itoa(p)},
		})
		if err == nil {
			err = service.AddEndpoint("commands", micro.HandlerFunc(d.take), micro.WithEndpointSubject(commandSubject(p, "*")))
			d.services[p] = service
		}
		if err != nil {
			d.relay.log.Warn("commands for a partition cannot be taken", "partition", p, "error", err)
		}
	}
}

// shut stops taking requests for partitions. Those at work go on.
func (d *desk) shut(partitions []int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.shutLocked(partitions)
}

// shutLocked is shut for a caller that holds d.mu.
func (d *desk) shutLocked(partitions []int) {
	for _, p := range partitions {
		if service := d.services[p]; service != nil {
			delete(d.services, p)
			if err := service.Stop(); err != nil {
				d.relay.log.Debug("stopping a service", "partition", p, "error", err)
			}
		}
	}
}

// close ends all requests and waits for them.
func (d *desk) close() {
	d.mu.Lock()
	all := make([]int, 0, len(d.services))
	for p := range d.services {
		all = append(all, p)
	}
	d.mu.Unlock()
	d.shut(all)
	d.mu.Lock()
	d.end()
	d.mu.Unlock()
	d.group.Wait()
}

// take takes a request. It does not wait, since NATS calls it for one after the other.
func (d *desk) take(message micro.Request) {
	var q request
	err := json.Unmarshal(message.Data(), &q)
	server := message.Subject()[strings.LastIndexByte(message.Subject(), '.')+1:]
	switch {
	case err != nil:
		err = fmt.Errorf("%w: not a request: %w", pterosocket.ErrInvalidCommand, err)
	case time.Now().After(q.AcceptBy):
		err = fmt.Errorf("%w: the request came too late, or the machines' clocks differ", pterosocket.ErrNotConnected)
	case !d.relay.isSure(server):
		err = fmt.Errorf("%w: the relay has lost its lease", pterosocket.ErrNotConnected)
	}
	if err == nil {
		select {
		case d.slots <- struct{}{}:
		default:
			err = fmt.Errorf("%w: the relay works on %d requests", pterosocket.ErrQueueFull, atWork)
		}
	}
	if err != nil {
		d.send(message, reply{Done: true, Error: errorToJSON(err)})
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ctx.Err() != nil { // close waits for the others already
		d.send(message, reply{Done: true, Error: errorToJSON(fmt.Errorf("%w: the relay is ending", pterosocket.ErrNotConnected))})
		return
	}
	d.group.Go(func() {
		defer func() { <-d.slots }()
		d.work(message, server, q)
	})
}

// work carries out a request and answers it.
func (d *desk) work(message micro.Request, server string, q request) {
	ctx, cancel := context.WithCancelCause(d.ctx)
	defer cancel(nil)
	most := shortest
	if q.Op == opRun || q.Op == opPower {
		most = longest
	}
	until := time.Now().Add(most)
	if !q.Deadline.IsZero() && q.Deadline.Before(until) {
		until = q.Deadline
	}
	ctx, stop := context.WithDeadline(ctx, until)
	defer stop()
	if q.Caller != "" { // who says nothing has gone, though perhaps without a word
		gone := time.AfterFunc(silence, func() { cancel(errCallerGone) })
		defer gone.Stop()
		sub, err := d.relay.nc.Subscribe(q.Caller, func(m *nats.Msg) {
			if string(m.Data) == callerGone {
				cancel(errCallerGone)
			}
			gone.Reset(silence)
		})
		if err == nil {
			defer func() { _ = sub.Unsubscribe() }()
		}
	}
	working := make(chan struct{})
	var alive sync.WaitGroup
	alive.Go(func() {
		ticker := time.NewTicker(keepalive)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				d.send(message, reply{})
			case <-working:
				return
			}
		}
	})
	last, err := d.carryOut(ctx, message, server, q)
	close(working)
	alive.Wait()
	if errors.Is(err, pterosocket.ErrClosed) && d.relay.isLeaving(server) {
		err = fmt.Errorf("%w: another relay takes the server over", pterosocket.ErrNotConnected)
	}
	last.Done, last.Error = true, errorToJSON(err)
	d.send(message, last)
}

// carryOut does what a request asks for. Lines are sent as they come; the rest of the answer is returned.
func (d *desk) carryOut(ctx context.Context, message micro.Request, server string, q request) (reply, error) {
	commands, err := d.relay.fleet.Commands(server)
	if err != nil && d.relay.isKnown(server) {
		err = fmt.Errorf("%w: the relay is taking the server over", pterosocket.ErrNotConnected)
	}
	if err != nil {
		return reply{}, err
	}
	switch q.Op {
	case opWrite:
		return reply{}, commands.Write(ctx, pterosocket.Packet{Event: q.Event, Args: q.Args})
	case opPower:
		return reply{}, commands.Power(ctx, q.Action)
	case opState:
		return reply{State: commands.State()}, nil
	case opAwait:
		ctx, cancel := context.WithTimeoutCause(ctx, awaitFor, errNotYet)
		defer cancel()
		state, err := commands.AwaitState(ctx, q.States...)
		if err == errNotYet { // not wrapped
			err = nil
		}
		return reply{State: state}, err
	case opRun:
		_, err := commands.Run(ctx, q.Command, pterosocket.RunOptions{Idle: q.Idle, MaxLines: q.MaxLines, Until: func(line string) bool {
			d.send(message, reply{Lines: []string{line}})
			return false
		}})
		return reply{}, err
	case opHistory:
		lines, err := commands.History(ctx)
		most := min(replyBytes, int(d.relay.nc.MaxPayload())/8) // JSON may need six bytes for one
		for len(lines) > 0 {
			n, size := 0, 0
			for n < len(lines) && (n == 0 || size+len(lines[n]) <= most) {
				size += len(lines[n])
				n++
			}
			d.send(message, reply{Lines: lines[:n]})
			lines = lines[n:]
		}
		return reply{}, err
	}
	return reply{}, fmt.Errorf("%w: the relay does not know the request %q; it is older, perhaps", pterosocket.ErrInvalidCommand, q.Op)
}

// errNotYet ends a wait for a state that has not come.
var errNotYet = errors.New("the state has not come yet")

// send sends a part of an answer, not with the means of package micro, which are for the goroutine that hands requests
// out. Without NATS, the caller learns that it heard nothing.
func (d *desk) send(message micro.Request, part reply) {
	data, _ := json.Marshal(part) // it holds strings only
	answer := &nats.Msg{Subject: message.Reply(), Data: data}
	if part.Error != nil { // as NATS services say it
		answer.Header = nats.Header{micro.ErrorCodeHeader: {"400"}, micro.ErrorHeader: {"see the error in the message"}}
	}
	_ = d.relay.nc.PublishMsg(answer) // see above
}
