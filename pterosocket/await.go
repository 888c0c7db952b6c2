package pterosocket

import (
	"context"
	"errors"
	"slices"
)

// AwaitState waits until the server is in one of the states, and returns that state. It returns at once if the server
// is in one already. It looks at Status events and at the state in Stats, since daemons may drop either. It goes on
// waiting through reconnects. If ctx ends first, it returns context.Cause(ctx). After the connection's end it returns
// Err, or ErrClosed if Err is nil.
func (c *Commands) AwaitState(ctx context.Context, states ...State) (State, error) {
	if len(states) == 0 {
		return "", errors.New("AwaitState: no state to wait for")
	}
	reached := make(chan State, 1)
	defer c.c.addTap(func(ev Event) {
		if state := stateOf(ev); state != "" && slices.Contains(states, state) {
			select {
			case reached <- state:
			default:
			}
		}
	})()
	if state := c.c.knownState(); state != "" && slices.Contains(states, state) {
		return state, nil
	}
	select {
	case state := <-reached:
		return state, nil
	case <-c.c.done:
		return "", c.c.whyEnded()
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// stateOf returns the state that an event reports, or "" if it reports none.
func stateOf(ev Event) State {
	switch ev := ev.(type) {
	case Status:
		return ev.State
	case Stats:
		return ev.State
	}
	return ""
}
