package pterosocket

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pterosocket/pterosocket-go/internal/backoff"
	"github.com/pterosocket/pterosocket-go/internal/tokens"
	"github.com/pterosocket/pterosocket-go/internal/wire"
)

const (
	// secondRule is the precision of the times in tokens. A token that was issued within the same second as a daemon's
	// start or a revocation is refused like the old ones.
	secondRule = time.Second
	// maxRefusals is how many fresh tokens in a row may be refused. Then a new connection is made.
	maxRefusals = 3
	// confirmAfter is how long after a panel's no it is asked again while the connection is up.
	confirmAfter = 30 * time.Second
)

// authRefused is a daemon's refusal of a token. If a fresh token does not help, errors.Is(err, ErrAuthRejected) holds.
type authRefused struct{ message string }

func (e *authRefused) Error() string {
	msg := "the daemon refused the token: " + printable(withoutEventID(e.message), 200)
	switch text := withoutEventID(e.message); {
	case unreadable(text), strings.HasPrefix(text, "invalid token") && !curable(text):
		msg += "; the daemon cannot verify the panel's tokens: check that the node's token in the daemon's config.yml is the panel's"
	case !curable(text):
		msg += "; check that panel and daemon are of matching versions, and that the key's user may open the console (websocket.connect)"
	}
	return msg
}

func (e *authRefused) Is(target error) bool {
	return target == ErrAuthRejected && !curable(e.message)
}

// due is the reason for a renewal when the token's time has come.
const due = "it is due"

// renew is the renewer. It logs in. Then it catches up on missed lines whenever lines are held back for that. It sends
// a fresh token before the old one ends, or when the daemon asks for it. It does one thing after the other, so there is
// never more than one request for credentials.
func (s *session) renew(ctx context.Context) error {
	var err error
	if aside(func() { err = s.establish(ctx) }); err != nil {
		return ignoreEnd(ctx, err)
	}
	r := renewals{last: time.Now()}
	r.spacing.Min, r.spacing.Max = s.cfg.Backoff.Min, s.cfg.Backoff.Max
	for {
		if s.console.isHolding() {
			aside(func() { s.catchUp(ctx) })
		}
		why, wait := s.nextRenewal(&r)
		if wait > 0 {
			select {
			case <-time.After(wait):
			case <-s.wake:
			case <-ctx.Done():
				return nil
			}
			continue
		}
		if aside(func() { err = s.renewOnce(ctx, why) }); err != nil {
			return ignoreEnd(ctx, err)
		}
		r.last, r.gap = time.Now(), 0
	}
}

// renewals is what the renewer knows of those before.
type renewals struct {
	last    time.Time // when the token was last renewed
	spacing backoff.Backoff
	gap     time.Duration // between the last renewal and the next that the daemon asks for; 0: none yet
}

func earliest(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// trigger asks for a renewal now. It merges requests for the same renewal.
func (s *session) trigger(why string) {
	s.update(func(p *shared) { p.wanted = cmp.Or(p.wanted, why) })
	signal(s.wake)
}

// nextRenewal returns why to renew next, and how long to wait at most: until the token is due. If the daemon takes
// nothing until the renewal, there is no such time: the spacing of renewals decides.
func (s *session) nextRenewal(r *renewals) (why string, wait time.Duration) {
	p := s.look()
	at := p.token.RenewAt
	if p.phase == refused {
		at = time.Now().Add(time.Hour)
	}
	if p.wanted == "" {
		return due, time.Until(at)
	}
	// Tokens that are refused as soon as they have been accepted must not become a loop.
	if r.gap == 0 && time.Since(r.last) < time.Minute {
		r.gap = max(r.spacing.Next(), secondRule)
	} else if r.gap == 0 {
		r.spacing.Reset()
		r.gap = time.Millisecond
	}
	return p.wanted, time.Until(earliest(at, r.last.Add(r.gap)))
}

// ignoreEnd drops an error that only says that ctx has ended. It would hide the reason.
func ignoreEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// establish logs in and waits until the connection is established: until its first status has come, or the wait is
// over.
func (s *session) establish(ctx context.Context) error {
	if deadline, ok := s.connecting.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadlineCause(ctx, deadline, errAuthTimeout)
		defer cancel()
	}
	if err := s.login(ctx); err != nil {
		return err
	}
	s.awaitStatus(ctx)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	s.update(func(p *shared) { p.stood = true })
	s.stands()
	return nil
}

// awaitStatus waits for the first status of a first connection, up to statusGrace.
func (s *session) awaitStatus(ctx context.Context) {
	if s.reconnects > 0 {
		return
	}
	timer := time.NewTimer(statusGrace)
	defer timer.Stop()
	select {
	case <-s.firstStatus:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// login authenticates a new connection with the cached token. If the daemon refuses that, it uses fresh ones.
func (s *session) login(ctx context.Context) error {
	tok := s.first
	fresh := time.Since(tok.Received) < secondRule
	for refusals := 0; ; refusals++ {
		err := s.authenticate(ctx, tok)
		var refused *authRefused
		if !errors.As(err, &refused) {
			return err
		}
		s.tokens.Forget()
		if refusals == maxRefusals || fresh && errors.Is(err, ErrAuthRejected) {
			return err
		}
		s.cfg.Logger.Info("the daemon refused the token, asking for another", "reason", s.cleanText(printable(refused.message, 200)))
		if err := s.awaitSecond(ctx); err != nil {
			return err
		}
		if tok, err = s.freshToken(ctx); err != nil {
			return fmt.Errorf("%w (%v)", err, refused)
		}
		fresh = true
	}
}

// renewOnce renews the token on the live connection, and retries until it succeeds. It returns an error if the session
// cannot go on.
func (s *session) renewOnce(ctx context.Context, why string) error {
	log := s.cfg.Logger
	log.Debug("renewing the token", "why", s.cleanText(printable(why, 200)))
	retry := backoff.Backoff{Min: s.cfg.Backoff.Min, Max: s.cfg.Backoff.Max}
	var saidNo time.Time // when the panel first said no
	for refusals := 0; ; {
		err := s.awaitSecond(ctx)
		var tok *tokens.Token
		if err == nil {
			tok, err = s.freshToken(ctx)
		}
		if err == nil {
			err = s.authenticate(ctx, tok)
		}
		if err == nil {
			log.Debug("renewed the token", "next", time.Until(tok.RenewAt))
			return nil
		}
		if ctx.Err() != nil || errors.Is(err, errMoved) || errors.Is(err, errSurplus) {
			return err
		}
		delay := retry.Next()
		var refused *authRefused
		switch {
		case errors.As(err, &refused):
			s.tokens.Forget()
			if denied(refused.message) {
				delay = 0
			}
			if unreadable(withoutEventID(refused.message)) {
				// It may have been the answer to another message. A new connection has no other message, so it will
				// tell.
				err = fmt.Errorf("%w: %s", errNotRenewed, printable(refused.message, 200))
			}
			if refusals++; refusals == maxRefusals || judge(err) == stop {
				return err
			}
		case errors.Is(err, errAuthTimeout):
			if refusals++; refusals == maxRefusals {
				return err
			}
		case judge(err) == stop:
			// One answer does not end a connection that is up: during an update a panel may say anything.
			if s.look().phase != up || !saidNo.IsZero() && time.Since(saidNo) >= confirmAfter {
				return err
			}
			if saidNo.IsZero() {
				saidNo = time.Now()
			}
			delay = confirmAfter
		case judge(err) == waitSlowly:
			saidNo, delay = time.Time{}, s.cfg.Backoff.Max
		default:
			saidNo = time.Time{}
		}
		err, delay = s.clean(err), max(delay, s.tokens.Blocked())
		log.Warn("renewing the token failed", "error", err, "retry_in", delay, "token_ends_in", time.Until(s.look().token.Expires))
		s.owner.emit(Error{Err: fmt.Errorf("renewing the token: %w", err)})
		if err := s.pause(ctx, delay, !saidNo.IsZero()); err != nil {
			return err
		}
	}
}

// pause waits for d. If the panel has said no, pause also ends when the daemon refuses the token too.
func (s *session) pause(ctx context.Context, d time.Duration, saidNo bool) error {
	if !saidNo {
		return backoff.Sleep(ctx, d)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	for s.look().phase == up {
		select {
		case <-timer.C:
			return nil
		case <-s.wake:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// awaitSecond waits until a token can be issued that is not refused for the same reason as the last one: see
// secondRule.
func (s *session) awaitSecond(ctx context.Context) error {
	return backoff.Sleep(ctx, time.Until(s.look().denied.Add(secondRule)))
}

// freshToken asks for a token. It returns errMoved if the server has moved to another node.
func (s *session) freshToken(ctx context.Context) (*tokens.Token, error) {
	tok, err := s.tokens.Fetch(ctx)
	if err != nil {
		return nil, err
	}
	if tok.Socket != s.first.Socket {
		return nil, fmt.Errorf("%w: %s", errMoved, tok.Socket)
	}
	return tok, nil
}

// authenticate sends tok and waits for the daemon's answer: nil or an *authRefused. If none comes, it returns
// errAuthTimeout.
func (s *session) authenticate(ctx context.Context, tok *tokens.Token) error {
	select {
	case <-s.answers:
	default:
	}
	r := newRequest(wire.Auth, wire.AppendFrame(nil, wire.Auth, tok.Token))
	r.before = func() error {
		first := s.look().phase == dialed
		s.update(func(p *shared) {
			p.pending = tok
			p.phase = max(p.phase, authenticating)
		})
		if first {
			s.owner.emit(Start{Socket: tok.Socket, Reconnects: s.reconnects})
		}
		return nil
	}
	s.queue.add(r)
	timer := time.NewTimer(authTimeout)
	defer timer.Stop()
	outcome := r.outcome
	for {
		select {
		case err := <-outcome:
			if err != nil { // the connection is ending, and ctx's cause says why
				<-ctx.Done()
				return context.Cause(ctx)
			}
			outcome = nil
			timer.Reset(authTimeout) // the auth may have waited for its turn
		case err := <-s.answers:
			var refused *authRefused
			if errors.As(err, &refused) && denied(refused.message) {
				s.update(func(p *shared) { p.denied = time.Now() })
			}
			return err
		case <-timer.C:
			s.update(func(p *shared) { p.refused, p.pending = p.pending, nil }) // a late answer must not count
			return errAuthTimeout
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
