package pterosocket

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/pterosocket/pterosocket-go/internal/backoff"
	"github.com/pterosocket/pterosocket-go/internal/wire"
)

// secondRule: tokens carry whole seconds, and one that was issued within the second of a daemon's start or of a revocation is
// refused with the old ones.
const secondRule = time.Second

// maxRefusals is how many fresh tokens in a row may be refused before the connection is made anew.
const maxRefusals = 3

// authRefused is a daemon's refusal of a token. It is ErrAuthRejected when a fresh token does not help.
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

// renewal is the state of a session's renewer from one renewal to the next.
type renewal struct {
	mu      sync.Mutex
	running bool        // a renewer is at work
	why     string      // why it has to renew at once; "": it has not
	timer   *time.Timer // starts the next one when that is due; nil before the first and after the end
	retry   backoff.Backoff
	last    time.Time // of the last one
}

// due is why a token is renewed whose time has come.
const due = "it is due"

// logIn is the renewer at a connection's beginning: it sends the first token. Like every renewer it goes on with what has come up in the
// meantime. Only one is ever at work, so there is never more than one request for credentials.
func (s *session) logIn() error {
	s.renewal.retry = backoff.Backoff{Min: s.cfg.Backoff.Min, Max: s.cfg.Backoff.Max}
	if err := s.login(s.ctx); err != nil {
		return ignoreEnd(s.ctx, err)
	}
	s.renewal.last = time.Now()
	return s.renew()
}

// trigger lets a renewer renew at once. A flood of triggers is one.
func (s *session) trigger(why string) {
	r := &s.renewal
	r.mu.Lock()
	if r.why == "" {
		r.why = why
	}
	start := !r.running
	r.running = true
	r.mu.Unlock()
	if start {
		s.spawn(s.renew)
	}
}

// satisfied forgets a trigger: the daemon has just accepted a token.
func (r *renewal) satisfied() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.why = ""
}

// next returns why to renew at once. If there is no reason, the renewer has to end, and the next one begins when the token's time has come.
func (r *renewal) next(wait time.Duration, start func()) (why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.why != "" {
		why, r.why = r.why, ""
		return why
	}
	r.running = false
	if r.timer == nil {
		r.timer = time.AfterFunc(wait, start)
	} else {
		r.timer.Reset(wait)
	}
	return ""
}

// stop lets no renewal come due any more.
func (r *renewal) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.timer != nil {
		r.timer.Stop()
	}
}

// renew is the renewer: it sends a fresh token before the old one ends, or when the daemon asks for it.
func (s *session) renew() error {
	r := &s.renewal
	for {
		why := r.next(time.Until(s.token.renewAt), func() { s.trigger(due) })
		if why == "" {
			return nil
		}
		if why != due {
			// Tokens that are refused as soon as they have been accepted must not become a loop.
			if time.Since(r.last) > time.Minute {
				r.retry.Reset()
			} else if err := sleep(s.ctx, max(r.retry.Next(), secondRule)); err != nil {
				return ignoreEnd(s.ctx, err)
			}
		}
		if err := s.renewOnce(s.ctx, why); err != nil {
			return ignoreEnd(s.ctx, err)
		}
		r.last = time.Now()
	}
}

// ignoreEnd drops an error that only says that ctx has ended, so that it does not hide why.
func ignoreEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// login authenticates a new connection, with the cached token and, if the daemon refuses that, with fresh ones.
func (s *session) login(ctx context.Context) error {
	fresh := time.Since(s.token.received) < secondRule
	for refusals := 0; ; refusals++ {
		err := s.authenticate(ctx, s.token)
		var refused *authRefused
		if !errors.As(err, &refused) {
			return err
		}
		s.tokens.forget()
		if refusals == maxRefusals || fresh && errors.Is(err, ErrAuthRejected) {
			return err
		}
		s.cfg.Logger.Info("the daemon refused the token, asking for another", "reason", refused.message)
		tok, err := s.freshToken(ctx, refused.message)
		if err != nil {
			return err
		}
		s.token, fresh = tok, true
	}
}

// renewOnce renews the token on the live connection and retries until that has succeeded. It returns an error when the session
// cannot go on.
func (s *session) renewOnce(ctx context.Context, why string) error {
	log := s.cfg.Logger
	log.Debug("renewing the token", "why", why)
	retry := backoff.Backoff{Min: s.cfg.Backoff.Min, Max: s.cfg.Backoff.Max}
	for refusals := 0; ; {
		tok, err := s.freshToken(ctx, why)
		if err == nil {
			s.token = tok
			err = s.authenticate(ctx, tok)
		}
		if err == nil {
			s.count.renewals.Add(1)
			log.Debug("renewed the token", "next", time.Until(tok.renewAt))
			return nil
		}
		if ctx.Err() != nil || errors.Is(err, errMoved) {
			return err
		}
		var refused *authRefused
		if errors.As(err, &refused) {
			s.tokens.forget()
			why = refused.message
		}
		if refused != nil && unreadable(withoutEventID(refused.message)) {
			// It may have been the answer to another message. A new connection, on which there is none, will tell.
			err = fmt.Errorf("%w: %s", errNotRenewed, printable(refused.message, 200))
		}
		if refused != nil || errors.Is(err, errAuthTimeout) {
			if refusals++; refusals == maxRefusals {
				return err
			}
		}
		delay := retry.Next()
		switch judge(err) {
		case stop:
			return err
		case waitSlowly:
			delay = s.cfg.Backoff.Max
		}
		if denied(why) {
			delay = max(delay, secondRule)
		}
		err, delay = s.clean(err), max(delay, s.tokens.blocked())
		log.Warn("renewing the token failed", "error", err, "retry_in", delay, "token_ends_in", time.Until(s.token.expires))
		s.owner.emit(Error{Err: fmt.Errorf("renewing the token: %w", err)})
		if err := sleep(ctx, delay); err != nil {
			return err
		}
	}
}

// freshToken asks for a token, for the reason why. It returns errMoved when the server has moved to another node.
func (s *session) freshToken(ctx context.Context, why string) (*token, error) {
	if denied(why) {
		if err := sleep(ctx, secondRule); err != nil {
			return nil, err
		}
	}
	tok, err := s.tokens.fetch(ctx)
	if err != nil {
		return nil, err
	}
	if tok.Socket != s.token.Socket {
		return nil, fmt.Errorf("%w: %s", errMoved, tok.Socket)
	}
	return tok, nil
}

// authenticate sends tok and waits for the daemon's answer: nil, or an *authRefused.
func (s *session) authenticate(ctx context.Context, tok *token) error {
	select {
	case <-s.answers:
	default:
	}
	first := s.offered.Swap(tok) == nil
	r := newRequest(wire.Auth, wire.AppendFrame(nil, wire.Auth, tok.Token))
	r.before = func() error {
		s.awaiting.Store(true)
		if first {
			s.owner.emit(Start{Socket: tok.Socket, Reconnects: s.reconnects})
		}
		return nil
	}
	defer s.awaiting.Store(false)
	s.queue.add(r)
	timer := time.NewTimer(authTimeout)
	defer timer.Stop()
	outcome := r.outcome
	for {
		select {
		case err := <-outcome:
			if err != nil { // the connection is ending, and the writer tells why
				<-ctx.Done()
				return context.Cause(ctx)
			}
			outcome = nil
			timer.Reset(authTimeout) // it may have waited for its turn
		case err := <-s.answers:
			return err
		case <-timer.C:
			return errAuthTimeout
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
