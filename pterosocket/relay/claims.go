package relay

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/pterosocket/pterosocket-go/pterosocket"
)

// claim is FleetConfig.Each: it claims the server in the stream, and then looks up which lines the stream has.
func (r *Relay) claim(ctx context.Context, server pterosocket.Server, cfg *pterosocket.Config) error {
	if r.cfg.Each != nil {
		if err := r.cfg.Each(ctx, server, cfg); err != nil {
			return err
		}
	}
	added := pterosocket.FleetEvent{Server: server.ID, Time: time.Now(), Event: pterosocket.ServerAdded{Server: server}}
	seq, isKnown, err := r.publisher.claim(ctx, added, func() bool { return r.isSure(server.ID) })
	if err != nil {
		return err
	}
	if isKnown || r.store.hasState(ctx, server.ID) {
		cfg.After, err = r.store.tail(ctx, server.ID, seq)
	}
	if cfg.Credentials == nil {
		cfg.Token = r.vault.get(ctx, server.ID)
	}
	r.log.Debug("claimed a server", "server", server.ID, "seq", seq, "lines", len(cfg.After), "has_token", cfg.Token.Token != "")
	return err
}

// retake has a server claimed again that another relay has written for. If its partition was lost meanwhile, nothing
// comes of it.
func (r *Relay) retake(server string) {
	r.log.Debug("another relay has written for a server", "server", server)
	r.mu.Lock()
	r.refused[server] = true
	r.mu.Unlock()
	select {
	case r.news <- struct{}{}:
	default:
	}
}

// keepClaims claims servers again, until ctx ends.
func (r *Relay) keepClaims(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	for {
		select {
		case <-r.news:
		case <-ctx.Done():
			return
		}
		r.mu.Lock()
		var servers []string
		for server := range r.refused {
			if !r.apart[server] {
				servers = append(servers, server)
				r.apart[server] = true
			}
		}
		clear(r.refused)
		r.mu.Unlock()
		if len(servers) == 0 {
			continue
		}
		all.Go(func() {
			r.fleet.Reselect()
			_ = r.publisher.await(ctx, func(s string) bool { return slices.Contains(servers, s) }) // ctx has ended, at worst
			// Not at once: if the lease is lost, this relay hears of it within a third of its length.
			select {
			case <-time.After(r.cfg.Lease / 3):
			case <-ctx.Done():
			}
			r.mu.Lock()
			for _, server := range servers {
				delete(r.apart, server)
			}
			r.mu.Unlock()
			r.fleet.Reselect()
		})
	}
}
