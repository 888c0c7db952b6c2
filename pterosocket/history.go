package pterosocket

import (
	"context"
	"errors"
	"fmt"
)

// History returns the daemon's recent lines, up to 150 by default and only those since the game's last start. They are
// read on a short connection of their own and never go to the events channel, which is neither held up nor touched.
//
// The log ends where no line has come for 100 ms; the first is waited for two seconds, all of them five. If none comes,
// History returns none and no error. A line of 64 KiB ends the log early. When the server is known to be offline,
// errors.Is(err, ErrServerOffline) holds.
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
	r := newRecording(20_000) // so many live lines may come meanwhile
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
