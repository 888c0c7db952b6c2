package pterosocket

import (
	"context"
	"errors"
	"fmt"
)

// History returns the daemon's recent lines: up to 150 by default, and only those since the game's last start. It reads
// them on a short connection of its own. They never go to the events channel, which History neither delays nor changes.
// Calls of History and Run wait for each other.
//
// History takes the log as complete when no line has come for 100 ms. It waits two seconds for the first line, and five
// seconds for all of them. If no line comes, it returns none and no error. A line of 64 KiB ends the log early. If the
// server is known to be offline, errors.Is(err, ErrServerOffline) holds.
func (c *Commands) History(ctx context.Context) ([]string, error) {
	if err := c.c.takeTurn(ctx); err != nil {
		return nil, err
	}
	defer c.c.endTurn()
	s, err := c.c.standing()
	if err != nil {
		return nil, err
	}
	if c.c.offline() {
		return nil, ErrServerOffline
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(c.c.soft, func() { cancel(ErrClosed) })()
	r := newRecording(20_000) // the most live lines that may come meanwhile
	s.console.record(r)
	defer s.console.unrecord(r)
	reading, err := s.readLog(ctx, r, nil, 0)
	switch {
	case err == nil, errors.Is(err, errNoLog):
		return reading.Log, nil
	case errors.Is(err, ErrServerOffline), ctx.Err() != nil:
		return nil, err
	}
	return nil, s.clean(fmt.Errorf("%w: %w", ErrNotSent, err))
}
