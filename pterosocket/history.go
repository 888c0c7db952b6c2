package pterosocket

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pterosocket/pterosocket-go/internal/replay"
	"github.com/pterosocket/pterosocket-go/internal/wire"
)

const (
	recallFirst = 2 * time.Second        // for the first line
	recallQuiet = 250 * time.Millisecond // between two
	recallMost  = 5 * time.Second        // in all
)

// A recall is a History that is at work. While it is, lines are held back, so that the replayed ones can be told from live ones.
type recall struct {
	result chan recalled // gets one value; room for one
	sureAt time.Time     // when the last line seen before came again
	err    error         // why it ended early
	over   bool          // nobody waits for it any more
}

type recalled struct {
	lines []string
	err   error
}

// errBusy: lines are being held back for something else at the moment.
var errBusy = errors.New("another replay is expected")

// sendWhenIdle sends a packet when no lines are held back. before may find that they are after all, and return errBusy.
func (c *client) sendWhenIdle(ctx context.Context, packet Packet, before func() error) error {
	for {
		select {
		case <-c.lines.isIdle():
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ErrNotSent, context.Cause(ctx))
		}
		req, err := c.enqueue(ctx, packet, before)
		if err != nil {
			return err
		}
		if err := <-req.outcome; !errors.Is(err, errBusy) {
			return err
		}
	}
}

// ready reports whether no lines are held back.
func (r *recovery) ready() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.holding
}

// startRecall holds lines back for h.
func (r *recovery) startRecall(h *recall) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.holding || h.over {
		return errBusy
	}
	r.hold()
	r.recall = h
	return nil
}

// cutRecall ends h's wait, if it still waits.
func (r *recovery) cutRecall(h *recall, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	h.over = true
	if r.recall == h {
		h.err = err
		r.release()
	}
}

// isIdle returns a channel that is closed when nothing is held back.
func (r *recovery) isIdle() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.idle
}

func (h *recall) patience(r *recovery) time.Time {
	n := len(r.held)
	if n == 0 {
		return r.began.Add(recallFirst)
	}
	if r.sure && h.sureAt.IsZero() {
		h.sureAt = r.held[n-1].At
	}
	until := earliest(r.began.Add(recallMost), r.held[n-1].At.Add(recallQuiet))
	if !h.sureAt.IsZero() { // what still comes on a chatty server is live
		until = earliest(until, h.sureAt.Add(recallQuiet))
	}
	return until
}

// release hands on what is new, and settles the History with what is not, and that too. r.mu is held.
func (h *recall) release(r *recovery) {
	r.recall = nil
	held := r.held
	r.held = nil
	seen := r.seen.Keys()
	fresh, continuous := replay.Merge(seen, held)
	if !continuous && len(seen) > 0 {
		// It was cut short, or comes later: what was seen before is replayed all the same.
		fresh = replay.Unknown(seen, held)
		r.watch(seen, fresh, recallFirst, true)
	}
	isFresh := make(map[uint64]int, len(fresh))
	for _, l := range fresh {
		isFresh[replay.Key(l.Text)]++
	}
	var lines []string
	for i := len(held) - 1; i >= 0; i-- { // from behind, since what is new is the last of what is equal
		if key := replay.Key(held[i].Text); isFresh[key] > 0 {
			isFresh[key]--
		} else if !replay.OfDaemon(held[i].Text) {
			lines = append(lines, held[i].Text)
		}
	}
	slices.Reverse(lines)
	for _, l := range fresh {
		if !replay.OfDaemon(l.Text) {
			lines = append(lines, l.Text)
		}
		// Nothing shows that it is a replayed one, though it may be when nothing had been seen before.
		r.handOn(ConsoleOutput{Line: l.Text, Replayed: l.Replayed && len(seen) == 0})
	}
	h.result <- recalled{lines, h.err}
}

// History returns the daemon's recent lines, up to 150 by default, without sending them to the events channel; a line that cannot be
// shown to be a replayed one goes there too. It is empty when none come within two seconds. The lines end where none has come for
// 250 ms, at the latest after five seconds. It fails like WriteCommand; when ctx ends or the connection is lost meanwhile, it
// returns that error.
func (c *Commands) History(ctx context.Context) ([]string, error) {
	if err := c.c.takeTurn(ctx); err != nil {
		return nil, err
	}
	defer c.c.endTurn()
	r := c.c.lines
	h := &recall{result: make(chan recalled, 1)}
	packet := Packet{Event: wire.SendLogs, Args: []string{""}}
	if err := c.c.sendWhenIdle(ctx, packet, func() error { return r.startRecall(h) }); err != nil {
		r.cutRecall(h, err) // it had begun, if the connection died in the middle of writing
		return nil, err
	}
	select {
	case got := <-h.result:
		return got.lines, got.err
	case <-ctx.Done():
		r.cutRecall(h, context.Cause(ctx))
		got := <-h.result
		return got.lines, got.err
	}
}
