package relay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pterosocket/pterosocket-go/pterosocket"
)

// Commands sends to a game server through the relay that owns it. Its methods are those of pterosocket.Commands, with
// the same errors for errors.Is. What errors.As finds is lost on the way. All methods are safe for concurrent use.
//
// If no relay owns the server, the methods fail at once with pterosocket.ErrNotConnected. If the relay does not answer,
// they fail with pterosocket.ErrUncertain when ctx ends, or after five seconds without a sign of life. A relay never
// carries out a request twice, and none after its context's deadline. For that, the machines' clocks must agree within
// a second or two.
type Commands struct {
	nc     *nats.Conn
	server string

	mu         sync.Mutex
	partitions int // 0: not known yet
}

// NewCommands returns the Commands of a server, by its ID. It makes no request. nc stays the caller's.
func NewCommands(nc *nats.Conn, server string) *Commands { return &Commands{nc: nc, server: server} }

// WriteCommand sends a line to the game's console, as pterosocket.Commands.WriteCommand does.
func (c *Commands) WriteCommand(ctx context.Context, command string) error {
	return c.Write(ctx, pterosocket.CommandPacket(command))
}

// WritePower sends a power action, as pterosocket.Commands.WritePower does.
func (c *Commands) WritePower(ctx context.Context, action pterosocket.PowerAction) error {
	return c.Write(ctx, pterosocket.PowerPacket(action))
}

// Write sends a packet, as pterosocket.Commands.Write does. Without a deadline in ctx the relay tries for 30 seconds.
func (c *Commands) Write(ctx context.Context, packet pterosocket.Packet) error {
	_, err := c.call(ctx, request{Op: opWrite, Event: packet.Event, Args: packet.Args}, nil)
	return err
}

// Power sends a power action and waits for the state that it leads to, as pterosocket.Commands.Power does. Without a
// deadline in ctx it waits for ten minutes.
func (c *Commands) Power(ctx context.Context, action pterosocket.PowerAction) error {
	_, err := c.call(ctx, request{Op: opPower, Action: action}, nil)
	return err
}

// Run sends a command and returns the console lines that follow it, as pterosocket.Commands.Run does. Until runs here.
// If the relay is lost meanwhile, Run returns the lines so far and an error for which errors.Is(err,
// pterosocket.ErrInterrupted) holds.
func (c *Commands) Run(ctx context.Context, command string, opts pterosocket.RunOptions) ([]string, error) {
	if opts.Idle == 0 && opts.Until == nil && opts.MaxLines == 0 {
		opts.Idle = time.Second
	}
	var lines []string
	q := request{Op: opRun, Command: command, Idle: opts.Idle, MaxLines: opts.MaxLines}
	_, err := c.call(ctx, q, func(line string) bool {
		lines = append(lines, line)
		return opts.Until != nil && opts.Until(line)
	})
	if len(lines) > 0 && (errors.Is(err, pterosocket.ErrUncertain) || errors.Is(err, pterosocket.ErrClosed)) {
		err = fmt.Errorf("%w: %w", pterosocket.ErrInterrupted, err)
	}
	return lines, err
}

// History returns the daemon's recent lines, as pterosocket.Commands.History does.
func (c *Commands) History(ctx context.Context) ([]string, error) {
	var lines []string
	_, err := c.call(ctx, request{Op: opHistory}, func(line string) bool {
		lines = append(lines, line)
		return false
	})
	return lines, err
}

// State returns the server's power state as the relay knows it. It waits up to two seconds for the relay. It is "" if
// none answers, and while the relay is not connected to the server.
func (c *Commands) State() pterosocket.State {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	last, _ := c.call(ctx, request{Op: opState}, nil) // without an answer there is no state
	return last.State
}

// AwaitState waits until the server is in one of the states, and returns that state. It goes on waiting through
// reconnects, while no relay owns the server, and while NATS is away. If ctx ends first, it returns context.Cause(ctx).
func (c *Commands) AwaitState(ctx context.Context, states ...pterosocket.State) (pterosocket.State, error) {
	if len(states) == 0 {
		return "", errors.New("AwaitState: no state to wait for")
	}
	for {
		last, err := c.call(ctx, request{Op: opAwait, States: states}, nil)
		if ctx.Err() != nil && last.State == "" {
			return "", context.Cause(ctx)
		}
		isLost := errors.Is(err, pterosocket.ErrNotConnected) || errors.Is(err, pterosocket.ErrUncertain) || errors.Is(err, pterosocket.ErrClosed)
		switch {
		case err != nil && !isLost:
			return "", err
		case last.State != "":
			return last.State, nil
		case err == nil: // it waits in turns
			continue
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
	}
}

// call sends a request and waits for the end of the answer, which it returns. It hands lines to line until that returns
// true, which ends the call.
func (c *Commands) call(ctx context.Context, q request, line func(string) bool) (reply, error) {
	if !isToken(c.server) {
		return reply{}, fmt.Errorf("%w: the server must be an identifier, such as 1a2b3c4d", pterosocket.ErrServerNotFound)
	}
	if ctx.Err() != nil {
		return reply{}, fmt.Errorf("%w: %w", pterosocket.ErrNotSent, context.Cause(ctx))
	}
	for {
		partitions, err := c.findPartitions(ctx)
		if err != nil {
			return reply{}, err
		}
		last, err := c.callOnce(ctx, partitions, q, line)
		if errors.Is(err, pterosocket.ErrNotConnected) { // perhaps the number of partitions has changed
			c.forgetPartitions()
		}
		if err != errNoOwner { // not wrapped
			return last, err
		}
		c.forgetPartitions()
		if now, err := c.findPartitions(ctx); err != nil || now == partitions {
			return reply{}, fmt.Errorf("%w: no relay owns server %s at the moment", pterosocket.ErrNotConnected, c.server)
		}
	}
}

// errNoOwner means that nobody has subscribed to the requests of the partition.
var errNoOwner = errors.New("no owner")

func (c *Commands) callOnce(ctx context.Context, partitions int, q request, line func(string) bool) (reply, error) {
	if !c.nc.IsConnected() { // nothing goes into the client's buffer, which would send it much later
		return reply{}, fmt.Errorf("%w: there is no connection to NATS", pterosocket.ErrNotConnected)
	}
	inbox := c.nc.NewInbox()
	answers := &inboxQueue{came: make(chan struct{}, 1)}
	sub, err := c.nc.Subscribe(inbox, answers.add)
	if err != nil {
		return reply{}, fmt.Errorf("%w: %w", pterosocket.ErrNotConnected, err)
	}
	defer func() { _ = sub.Unsubscribe() }() // it ends with the connection otherwise
	_ = sub.SetPendingLimits(-1, -1)         // a run has 10,000 lines at most; the subscription is open, so it takes limits
	q.Caller = inbox + ".caller"
	q.AcceptBy = time.Now().Add(silence)
	if deadline, ok := ctx.Deadline(); ok { // a little early, so that the answer comes in time
		left := time.Until(deadline)
		q.Deadline = deadline.Add(-min(left/10, 200*time.Millisecond))
	}
	data, err := json.Marshal(q)
	if err != nil {
		return reply{}, fmt.Errorf("%w: %w", pterosocket.ErrInvalidCommand, err)
	}
	subject := commandSubject(partitionOf(c.server, partitions), c.server)
	if err := c.nc.PublishMsg(&nats.Msg{Subject: subject, Reply: inbox, Data: data}); err != nil {
		return reply{}, fmt.Errorf("%w: %w", pterosocket.ErrNotSent, err)
	}
	return c.await(ctx, answers, q.Caller, line)
}

// An inboxQueue holds replies that have not been read yet, so that none is lost while a caller looks at a line.
type inboxQueue struct {
	came    chan struct{}
	mu      sync.Mutex
	waiting []*nats.Msg
}

func (q *inboxQueue) add(m *nats.Msg) {
	q.mu.Lock()
	q.waiting = append(q.waiting, m)
	q.mu.Unlock()
	select {
	case q.came <- struct{}{}:
	default:
	}
}

func (q *inboxQueue) take() []*nats.Msg {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := q.waiting
	q.waiting = nil
	return all
}

// await reads the answer to a request. It says on the subject caller that it waits, and when it no longer does. If that
// is lost, the relay notices the silence.
func (c *Commands) await(ctx context.Context, answers *inboxQueue, caller string, line func(string) bool) (reply, error) {
	quiet := time.NewTimer(silence)
	defer quiet.Stop()
	alive := time.NewTicker(keepalive)
	defer alive.Stop()
	isDone := false
	defer func() {
		if !isDone {
			_ = c.nc.Publish(caller, []byte(callerGone)) // see above
		}
	}()
	ended, isLate := ctx.Done(), false
	for {
		select {
		case <-answers.came:
			for _, message := range answers.take() {
				part, err := parse(message)
				if err != nil {
					isDone = err == errNoOwner // not wrapped
					return reply{}, err
				}
				for _, text := range part.Lines {
					if line != nil && line(text) {
						return reply{Done: true}, nil
					}
				}
				if part.Done {
					isDone = true
					return part, withCause(ctx, errorFromJSON(part.Error))
				}
			}
			if !isLate {
				quiet.Reset(silence)
			}
		case <-alive.C:
			_ = c.nc.Publish(caller, nil) // see above
		case <-ended: // the relay may still tell how far it has come
			_ = c.nc.Publish(caller, []byte(callerGone)) // see above
			ended, isLate = nil, true
			quiet.Reset(250 * time.Millisecond)
		case <-quiet.C:
			if isLate {
				return reply{}, fmt.Errorf("%w: no answer from the relay: %w", pterosocket.ErrUncertain, context.Cause(ctx))
			}
			return reply{}, fmt.Errorf("%w: no sign of life from the relay for %v", pterosocket.ErrUncertain, silence)
		}
	}
}

// parse reads a reply.
func parse(message *nats.Msg) (part reply, err error) {
	if message.Header.Get("Status") == "503" {
		return part, errNoOwner
	}
	if err := json.Unmarshal(message.Data, &part); err != nil {
		return part, fmt.Errorf("%w: the relay's answer: %w", pterosocket.ErrUncertain, err)
	}
	return part, nil
}

// withCause makes an error that came from the end of ctx hold the cause of that, as errors of this process do.
func withCause(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil || errors.Is(err, context.Cause(ctx)) {
		return err
	}
	return fmt.Errorf("%w: %w", err, context.Cause(ctx))
}

// findPartitions returns into how many partitions the relays divide the servers.
func (c *Commands) findPartitions(ctx context.Context) (int, error) {
	c.mu.Lock()
	known := c.partitions
	c.mu.Unlock()
	if known > 0 {
		return known, nil
	}
	js, err := jetstream.New(c.nc)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", pterosocket.ErrNotConnected, err)
	}
	if !c.nc.IsConnected() {
		return 0, fmt.Errorf("%w: there is no connection to NATS", pterosocket.ErrNotConnected)
	}
	kv, err := js.KeyValue(ctx, leaseBucket)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", pterosocket.ErrNotConnected, noRelays(err))
	}
	status, err := kv.Status(ctx)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", pterosocket.ErrNotConnected, explain(err))
	}
	n, err := strconv.Atoi(status.Metadata()[metaPartitions])
	if err != nil || n < 1 || n > maxPartitions {
		return 0, fmt.Errorf("%w: the bucket %s is not a relay's", pterosocket.ErrNotConnected, leaseBucket)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.partitions = n
	return n, nil
}

func (c *Commands) forgetPartitions() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.partitions = 0
}
