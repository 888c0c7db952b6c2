// Package tokens keeps the token in use, so that a reconnect needs no request, and keeps to the panel's budget.
package tokens

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/pterosocket/pterosocket-go/internal/backoff"
	"github.com/pterosocket/pterosocket-go/internal/panel"
)

const (
	// budget is how many credentials a panel gives out for one server within window, to all of its users together
	// (Pelican, Pterodactyl 1.12 and later). The window has a second to spare for requests that overtake each other.
	budget = 5
	window = 61 * time.Second
	// defaultLifetime is what a token is taken to live that does not say.
	defaultLifetime = 10 * time.Minute
)

// A Token is what a source handed out, and what is known of it.
type Token struct {
	Token, Socket string
	Permissions   []string  // nil when the token does not say
	Unlimited     bool      // it belongs to a daemon without message limits
	Asked         time.Time // when it was asked for
	Received      time.Time // when it came
	RenewAt       time.Time // when to ask for the next
	Expires       time.Time // when it ends, by this machine's clock
}

// A Cache keeps one server's token. It is used by one goroutine at a time.
type Cache struct {
	Ask        func(context.Context) (panel.Credentials, error)
	Turn       func(context.Context) error // waits until it is this server's turn to ask; nil: it is
	RetryAfter func(error) time.Duration   // how long an error of Ask says to wait; 0: it does not say
	Log        *slog.Logger

	cached    *Token
	last      *Token            // the last one, forgotten or not
	asked     [budget]time.Time // the last requests, the latest at the end
	notBefore time.Time         // what RetryAfter has said
	why       error             // with this error
}

// ErrBudget means that the panel's budget is used up for longer than the caller can wait.
var ErrBudget = errors.New("a panel gives out five tokens a minute for a server")

// Get returns the cached token until it is due for renewal, and then a new one.
func (c *Cache) Get(ctx context.Context) (*Token, error) {
	if c.cached != nil && time.Now().Before(c.cached.RenewAt) {
		return c.cached, nil
	}
	return c.Fetch(ctx)
}

// Last returns the last token, however old, forgotten or not; nil: there was none.
func (c *Cache) Last() *Token { return c.last }

// Requests are the times of the last requests for a server's tokens.
type Requests [budget]time.Time

// Requests returns them, for a Cache that follows this one.
func (c *Cache) Requests() Requests { return Requests(c.asked) }

// Follow lets the budget count what an earlier Cache has asked for.
func (c *Cache) Follow(r Requests) { c.asked = r }

// Forget drops the cached token, because a daemon refuses it or the server has moved.
func (c *Cache) Forget() { c.cached = nil }

// Asked returns when the last request was made; the zero time before the first.
func (c *Cache) Asked() time.Time { return c.asked[budget-1] }

// Fetch asks for a new token, when the budget and the last Retry-After allow it. A wait that ctx's deadline would cut
// short it does not begin: it returns ErrBudget, or what the panel said, at once.
func (c *Cache) Fetch(ctx context.Context) (*Token, error) {
	if err := c.wait(ctx); err != nil {
		return nil, err
	}
	if c.Turn != nil {
		if err := c.Turn(ctx); err != nil {
			return nil, err
		}
	}
	start := time.Now()
	copy(c.asked[:], c.asked[1:])
	c.asked[budget-1] = start
	creds, err := c.Ask(ctx)
	if err != nil {
		if after := c.RetryAfter(err); after > 0 {
			c.notBefore, c.why = time.Now().Add(after), err
		}
		return nil, fmt.Errorf("asking for credentials: %w", err)
	}
	c.Keep(creds, start)
	c.Log.Debug("got credentials", "socket", creds.Socket, "lifetime", c.cached.Expires.Sub(start))
	return c.cached, nil
}

// Keep caches a token that was asked for at start.
func (c *Cache) Keep(creds panel.Credentials, start time.Time) {
	said := parseClaims(creds.Token)
	life := cmp.Or(said.lifetime(), defaultLifetime)
	// Counted from when it was asked for, since that is not later than when it was issued. The renewal comes when about a
	// fifth of the life is left, which leaves time for a panel in trouble; it is spread so that many connections that were
	// made together are not renewed together.
	c.last = &Token{
		Token:       creds.Token,
		Socket:      creds.Socket,
		Permissions: said.Permissions,
		// Pterodactyl's panels before 1.12 put no scope into a token, and their daemons have no limits.
		Unlimited: creds.Nested && said.lifetime() > 0 && said.Scope == nil && said.Scopes == nil,
		Asked:     start,
		Received:  time.Now(),
		RenewAt:   start.Add(life*3/4 + rand.N(life/10+1)),
		Expires:   start.Add(life),
	}
	c.cached = c.last
}

// Blocked returns how long it takes until a token can be had: 0 when there is one, or it can be asked for.
func (c *Cache) Blocked() time.Duration {
	if c.cached != nil && time.Now().Before(c.cached.RenewAt) {
		return 0
	}
	return max(0, time.Until(c.notBefore), time.Until(c.asked[0].Add(window)))
}

// wait waits for the budget and the last Retry-After.
func (c *Cache) wait(ctx context.Context) error {
	until, why := c.notBefore, c.why
	if free := c.asked[0].Add(window); free.After(until) {
		until, why = free, ErrBudget
	}
	delay := time.Until(until)
	if delay <= 0 {
		return nil
	}
	if deadline, ok := ctx.Deadline(); ok && deadline.Before(until) {
		return fmt.Errorf("waiting for %v more: %w", delay.Round(time.Second), why)
	}
	c.Log.Info("waiting before asking for credentials again", "delay", delay)
	return backoff.Sleep(ctx, delay)
}

// claims are what a token says about itself. They are read without checking the signature: only the daemon has the key,
// and nothing here is decided by them but when to renew and what is pointless to ask for.
type claims struct {
	Exp, Iat      float64
	Permissions   []string
	Scope, Scopes any // the tokens of Pelican and Pterodactyl 1.12 have one
}

// parseClaims reads the claims of a JWT; it returns none for a token that is none.
func parseClaims(token string) (c claims) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return claims{}
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil || json.Unmarshal(payload, &c) != nil {
		return claims{}
	}
	return c
}

// lifetime returns the difference of two times by the panel's clock, to be counted from the moment of receipt: the
// clocks of panel, daemon and client differ. It is 0 when the token does not say.
func (c claims) lifetime() time.Duration {
	seconds := c.Exp - c.Iat
	if c.Iat <= 0 || seconds <= 0 || seconds >= 365*24*60*60 {
		return 0
	}
	return time.Duration(seconds * float64(time.Second))
}
