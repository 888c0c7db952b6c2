package pterosocket

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/pterosocket/pterosocket-go/internal/panel"
)

// A CredentialSource hands out tokens. Credentials is never called concurrently, and at most five times a minute. An error that
// is ErrUnauthorized, ErrForbidden or ErrServerNotFound is final; one that is ErrConflict is waited out; any other is retried.
type CredentialSource interface {
	Credentials(ctx context.Context) (Credentials, error)
}

// panelSource asks the panel.
type panelSource struct{ panel.Client }

func (s panelSource) Credentials(ctx context.Context) (Credentials, error) {
	creds, err := s.Fetch(ctx)
	var refused *panel.Error
	if errors.As(err, &refused) {
		return Credentials{}, &PanelError{StatusCode: refused.StatusCode, Code: refused.Code, Detail: refused.Detail, RetryAfter: refused.RetryAfter}
	}
	return Credentials(creds), err
}

const (
	// budget is how many credentials a panel gives out for one server within budgetWindow, to all of its users together
	// (Pelican, Pterodactyl 1.12 and later). The window has a second to spare for requests that overtake each other.
	budget       = 5
	budgetWindow = 61 * time.Second
	// defaultLifetime is what a token is taken to live that does not say.
	defaultLifetime = 10 * time.Minute
)

// token is what a CredentialSource handed out, and what is known of it.
type token struct {
	Credentials
	permissions []Permission
	knows       bool // whether permissions is what the token says, and not just nothing
	received    time.Time
	renewAt     time.Time
	expires     time.Time
}

// tokens keeps the token in use, so that a reconnect needs no request, and keeps to the panel's budget. It is used by one
// goroutine at a time: the supervisor's, or, while a session runs, its renewer's.
type tokens struct {
	source   CredentialSource
	origin   string
	secret   string // never to be shown
	insecure bool   // accept ws:// from an https panel
	log      *slog.Logger
	count    *counters

	cached    *token
	asked     []time.Time // the last requests, at most budget of them
	notBefore time.Time   // the panel's Retry-After
}

// get returns the cached token until it is due for renewal, and then a new one.
func (t *tokens) get(ctx context.Context) (*token, error) {
	if t.cached != nil && time.Now().Before(t.cached.renewAt) {
		return t.cached, nil
	}
	return t.fetch(ctx)
}

// forget drops the cached token, because a daemon refuses it or the server has moved.
func (t *tokens) forget() { t.cached = nil }

// errBudget: the panel's budget is used up for longer than the caller can wait.
var errBudget = fmt.Errorf("%w: a panel gives out five tokens a minute for a server", ErrRateLimited)

// fetch asks for a new token, when the budget and the last Retry-After allow it. A wait that ctx's deadline would cut short it
// does not begin: it returns an error that is ErrRateLimited at once.
func (t *tokens) fetch(ctx context.Context) (*token, error) {
	if err := t.wait(ctx); err != nil {
		return nil, err
	}
	start := time.Now()
	t.asked = append(t.asked, start)
	t.count.credentialRequests.Add(1)
	creds, err := t.source.Credentials(ctx)
	if err != nil {
		var refused *PanelError
		if errors.As(err, &refused) && refused.StatusCode == http.StatusTooManyRequests {
			t.notBefore = time.Now().Add(refused.RetryAfter)
		}
		return nil, fmt.Errorf("asking for credentials: %w", redact(err, t.secret))
	}
	if err := t.checkSocket(creds.Socket); err != nil {
		return nil, err
	}
	claims := panel.ParseClaims(creds.Token)
	life := claims.Lifetime
	if life == 0 {
		life = defaultLifetime
	}
	// Counted from when it was asked for, since that is not later than when it was issued. The renewal comes when about a
	// fifth of the life is left, which leaves time for a panel in trouble; it is spread so that many connections that were
	// made together are not renewed together.
	tok := &token{
		Credentials: creds,
		permissions: permissions(claims.Permissions),
		knows:       claims.Permissions != nil,
		received:    time.Now(),
		renewAt:     start.Add(life*3/4 + rand.N(life/10+1)),
		expires:     start.Add(life),
	}
	t.cached = tok
	t.log.Debug("got credentials", "socket", creds.Socket, "lifetime", life)
	return tok, nil
}

// blocked returns how long it takes until a token can be had: 0 when there is one, or it can be asked for.
func (t *tokens) blocked() time.Duration {
	now := time.Now()
	if t.cached != nil && now.Before(t.cached.renewAt) {
		return 0
	}
	until := t.notBefore
	if n := len(t.asked); n >= budget {
		if free := t.asked[n-budget].Add(budgetWindow); free.After(until) {
			until = free
		}
	}
	return max(0, until.Sub(now))
}

// wait waits for the budget and the last Retry-After.
func (t *tokens) wait(ctx context.Context) error {
	now := time.Now()
	for len(t.asked) > 0 && now.Sub(t.asked[0]) >= budgetWindow {
		t.asked = t.asked[1:]
	}
	until := t.notBefore
	var why error = &PanelError{StatusCode: http.StatusTooManyRequests, Detail: "asked to wait before", RetryAfter: until.Sub(now)}
	if len(t.asked) >= budget {
		if free := t.asked[len(t.asked)-budget].Add(budgetWindow); free.After(until) {
			until, why = free, errBudget
		}
	}
	delay := until.Sub(now)
	if delay <= 0 {
		return nil
	}
	if deadline, ok := ctx.Deadline(); ok && deadline.Before(until) {
		return why
	}
	t.log.Info("waiting before asking for credentials again", "delay", delay)
	return sleep(ctx, delay)
}

func (t *tokens) checkSocket(socket string) error {
	u, err := url.Parse(socket)
	if err != nil || u.Host == "" {
		return errors.New("asking for credentials: the socket that was handed out is not a URL")
	}
	switch u.Scheme {
	case "wss", "https":
		return nil
	case "ws", "http":
		if strings.HasPrefix(t.origin, "https:") && !t.insecure {
			return fmt.Errorf("%w: the panel %s hands out the unencrypted %s://%s; enable TLS for the node, or set Config.AllowInsecure", ErrInsecureSocket, t.origin, u.Scheme, u.Host)
		}
		return nil
	}
	return fmt.Errorf("asking for credentials: the socket that was handed out begins with %q, not with wss", printable(u.Scheme, 20))
}

// sleep waits for d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
