package pterosocket

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/pterosocket/pterosocket-go/internal/panel"
	"github.com/pterosocket/pterosocket-go/internal/tokens"
)

// A CredentialSource hands out tokens. Credentials is never called concurrently, and at most five times a minute. When
// it returns an error for which errors.Is(err, ErrUnauthorized), ErrForbidden or ErrServerNotFound holds, that is final
// (while a connection stands, when it is said again 30 s later); ErrConflict is waited out; anything else is retried.
type CredentialSource interface {
	Credentials(ctx context.Context) (Credentials, error)
}

// Credentials open a daemon's websocket: Token goes into the first frame, Socket is the URL to dial. However they are
// printed, they do not show the token.
type Credentials struct{ Token, Socket string }

// Format prints the credentials without the token, whatever the verb.
func (c Credentials) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "pterosocket.Credentials{Token:"+redacted+" Socket:"+c.Socket+"}")
}

// LogValue returns the credentials without the token.
func (c Credentials) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(c)) }

// MarshalJSON returns the credentials without the token.
func (c Credentials) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct{ Token, Socket string }{redacted, c.Socket})
}

// panelSource asks the panel.
type panelSource struct{ panel.Client }

func (s panelSource) Credentials(ctx context.Context) (Credentials, error) {
	creds, err := s.fetch(ctx)
	return Credentials{creds.Token, creds.Socket}, err
}

// fetch returns what the panel answers, or a *PanelError.
func (s panelSource) fetch(ctx context.Context) (panel.Credentials, error) {
	creds, err := s.Fetch(ctx)
	var refused *panel.Error
	if errors.As(err, &refused) {
		return panel.Credentials{}, &PanelError{
			StatusCode: refused.StatusCode,
			Code:       refused.Code,
			Detail:     refused.Detail,
			RetryAfter: refused.RetryAfter,
			foreign:    refused.Foreign,
		}
	}
	return creds, err
}

// panelCredentials is what the token cache asks.
type panelCredentials struct {
	source CredentialSource
	secret string // which no error may show
}

func (p panelCredentials) Credentials(ctx context.Context) (panel.Credentials, error) {
	if s, ok := p.source.(panelSource); ok {
		creds, err := s.fetch(ctx)
		return creds, redact(err, p.secret)
	}
	creds, err := p.source.Credentials(ctx)
	return panel.Credentials{Token: creds.Token, Socket: creds.Socket}, redact(err, p.secret)
}

// checkSocket refuses a socket whose traffic anybody could read, where the panel's could not be read.
func (c *client) checkSocket(u *url.URL) error {
	if (u.Scheme == "ws" || u.Scheme == "http") && strings.HasPrefix(c.cfg.Origin, "https:") && !c.cfg.AllowInsecure {
		return fmt.Errorf("%w: the panel %s hands out the unencrypted %s://%s; enable TLS for the node, or set Config.AllowInsecure",
			ErrInsecureSocket, c.cfg.Origin, u.Scheme, u.Host)
	}
	return nil
}

// retryAfterOf returns how long an error says to wait; 0 if it does not say.
func retryAfterOf(err error) time.Duration {
	var wait *tokens.WaitError
	if errors.As(err, &wait) {
		return wait.Wait
	}
	var refused *PanelError
	if errors.As(err, &refused) {
		return refused.RetryAfter
	}
	return 0
}
