package pterosocket

import (
	"context"
	"errors"
	"fmt"
	"strings"
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

// renew is the renewer: it sends the first token, and a fresh one before the old one ends, or when the daemon asks for it. It is
// the only one that asks for credentials while the session lives, so there is never more than one request.
func (s *session) renew(ctx context.Context) error {
	if err := s.login(ctx); err != nil {
		return ignoreEnd(ctx, err)
	}
	retry := backoff.Backoff{Min: s.cfg.Backoff.Min, Max: s.cfg.Backoff.Max}
	timer := time.NewTimer(time.Until(s.token.renewAt))
	defer timer.Stop()
	last := time.Now()
	for {
		var why string
		select {
		case <-timer.C:
			why = "it is due"
		case why = <-s.triggers:
			// Tokens that are refused as soon as they have been accepted must not become a loop.
			if time.Since(last) > time.Minute {
				retry.Reset()
			} else if err := sleep(ctx, max(retry.Next(), secondRule)); err != nil {
				return ignoreEnd(ctx, err)
			}
		case <-ctx.Done():
			return nil
		}
		if err := s.renewOnce(ctx, why); err != nil {
			return ignoreEnd(ctx, err)
		}
		last = time.Now()
		timer.Reset(time.Until(s.token.renewAt))
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
		s.emit(Error{Err: fmt.Errorf("renewing the token: %w", err)})
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
	s.offered.Store(tok)
	r := newRequest(wire.Auth, wire.AppendFrame(nil, wire.Auth, tok.Token))
	r.before = func() error {
		s.awaiting.Store(true)
		if !s.started {
			s.started = true
			s.emit(s.start())
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
