package pterosocket

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/pterosocket/pterosocket-go/internal/backoff"
	"github.com/pterosocket/pterosocket-go/internal/panel"
)

// ListServers returns the servers that the key's user may open, in the panel's order. It uses Origin, APIKey,
// HTTPClient, Backoff and ConnectTimeout of cfg. Server and Credentials must be empty. Like Connect, ListServers
// retries after temporary errors until ConnectTimeout, and fails at once with all others. errors.Is then finds
// ErrInvalidConfig, ErrUnauthorized or ErrForbidden, or ErrRateLimited if the panel wants no requests for longer than
// ConnectTimeout.
//
// A page of a hundred servers takes one request. If the list changes while it is read, ListServers reads it again,
// three times in all at most.
func ListServers(ctx context.Context, cfg Config) ([]Server, error) { return list(ctx, cfg, false) }

// ListAllServers works like ListServers, but returns all servers of the panel. The key's user must be an administrator.
// For any other user the list is empty.
func ListAllServers(ctx context.Context, cfg Config) ([]Server, error) { return list(ctx, cfg, true) }

func list(ctx context.Context, cfg Config, all bool) (servers []Server, err error) {
	cfg, err = cfg.forPanel()
	if err != nil {
		return nil, err
	}
	err = persist(ctx, cfg, func(ctx context.Context) error {
		servers, _, err = listOnce(ctx, panelOf(cfg), all, func(context.Context) error { return nil })
		return err
	})
	return servers, err
}

// listOnce reads the list without retries. It calls wait before each request.
func listOnce(ctx context.Context, p panel.Client, all bool, wait func(context.Context) error) (servers []Server, isWhole bool, err error) {
	found, isWhole, err := p.List(ctx, all, wait)
	if err != nil {
		return nil, false, redact(fmt.Errorf("listing the servers: %w", panelError(err)), p.APIKey)
	}
	for _, s := range found {
		servers = append(servers, toServer(s))
	}
	return servers, isWhole, nil
}

// lookupOnce asks the panel for one server, without retries.
func lookupOnce(ctx context.Context, p panel.Client) (Server, error) {
	s, err := p.Lookup(ctx)
	if err != nil {
		return Server{}, redact(fmt.Errorf("looking up server %s: %w", p.Server, panelError(err)), p.APIKey)
	}
	return toServer(s), nil
}

// persist calls try again after temporary errors, until ConnectTimeout.
func persist(ctx context.Context, cfg Config, try func(context.Context) error) error {
	if cfg.ConnectTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, cfg.ConnectTimeout)
		defer cancel()
	}
	delays := backoff.Backoff{Min: cfg.Backoff.Min, Max: cfg.Backoff.Max}
	var last error
	for {
		err := try(ctx)
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil {
			last = err
		}
		wait := max(delays.Next(), retryAfterOf(err))
		deadline, isBounded := ctx.Deadline()
		var refused *PanelError
		isWrong := errors.As(err, &refused) && refused.StatusCode == http.StatusOK // a web page: Origin is not a panel
		switch v := judge(err); {
		case v == stop, isWrong, ctx.Err() != nil, isBounded && retryAfterOf(err) > max(0, time.Until(deadline)):
			return last
		}
		if backoff.Sleep(ctx, wait) != nil {
			return last
		}
	}
}
