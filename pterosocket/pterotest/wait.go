package pterotest

import "context"

// WaitFor waits until cond is true. It checks cond whenever a client connects, authenticates, sends or leaves, when the
// panel gets a request, and when the server's state changes. If ctx ends first, it returns context.Cause(ctx).
func (s *Server) WaitFor(ctx context.Context, cond func() bool) error {
	for {
		s.mu.Lock()
		arrival := s.arrival
		s.mu.Unlock()
		if cond() {
			return nil
		}
		select {
		case <-arrival:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Wait waits for a message for which match returns true, and returns it. Messages that have already come count too. If
// ctx ends first, it returns context.Cause(ctx).
func (s *Server) Wait(ctx context.Context, match func(Message) bool) (Message, error) {
	var found Message
	err := s.WaitFor(ctx, func() bool {
		for _, m := range s.Received() {
			if match(m) {
				found = m
				return true
			}
		}
		return false
	})
	return found, err
}

// Connections returns how many websockets are open.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sockets)
}

// Authenticated returns how many open websockets are authenticated and already get the server's events.
func (s *Server) Authenticated() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for k := range s.sockets {
		if k.isSubscribed() {
			n++
		}
	}
	return n
}
