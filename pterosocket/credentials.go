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

// credentials is what the token cache asks. No error shows the API key.
func (c *client) credentials(ctx context.Context) (creds panel.Credentials, err error) {
	c.count.credentialRequests.Add(1)
	creds, err = c.ask(ctx)
	if err == nil {
		err = c.checkSocket(creds.Socket)
	}
	return creds, c.member.judged(c, redact(err, c.cfg.APIKey))
}

// ask asks Config.Credentials, or the panel when that is nil.
func (c *client) ask(ctx context.Context) (panel.Credentials, error) {
	switch source := c.cfg.Credentials.(type) {
	case nil:
		p := panelOf(c.cfg)
		p.Limit = c.member.learner()
		return (&panelSource{p}).fetch(ctx)
	case *panelSource:
		return source.fetch(ctx)
	default:
		own, err := source.Credentials(ctx)
		return panel.Credentials{Token: own.Token, Socket: own.Socket}, err
	}
}

// PanelCredentials returns the source that is used where Config.Credentials is nil: the panel at Origin, asked with
// APIKey for Server. It is for a source that wraps it, to count or to cache.
func PanelCredentials(cfg Config) CredentialSource {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return noSource{err}
	}
	return &panelSource{panelOf(cfg)}
}

// panelOf returns what asks the panel of a Config with defaults.
func panelOf(cfg Config) panel.Client {
	return panel.Client{HTTP: cfg.HTTPClient, Origin: cfg.Origin, APIKey: cfg.APIKey, Server: cfg.Server}
}

type panelSource struct{ client panel.Client }

// Credentials makes one request.
func (p *panelSource) Credentials(ctx context.Context) (Credentials, error) {
	creds, err := p.fetch(ctx)
	return Credentials{Token: creds.Token, Socket: creds.Socket}, err
}

func (p *panelSource) fetch(ctx context.Context) (panel.Credentials, error) {
	creds, err := p.client.Fetch(ctx)
	return creds, redact(panelError(err), p.client.APIKey)
}

// panelError returns the exported form of an error of package panel.
func panelError(err error) error {
	var refused *panel.Error
	if errors.As(err, &refused) {
		return &PanelError{refused.StatusCode, refused.Code, refused.Detail, refused.RetryAfter, refused.Limit, refused.Foreign}
	}
	return err
}

// noSource is in the place of a source that cannot be made.
type noSource struct{ err error }

func (n noSource) Credentials(context.Context) (Credentials, error) { return Credentials{}, n.err }

// checkSocket refuses a socket whose traffic anybody could read, where the panel's could not be read.
func (c *client) checkSocket(socket string) error {
	u, err := url.Parse(socket)
	if err != nil || u.Host == "" {
		return errors.New("the socket that was handed out is not a URL")
	}
	switch u.Scheme {
	case "wss", "https":
	case "ws", "http":
		if strings.HasPrefix(c.cfg.Origin, "https:") && !c.cfg.AllowInsecure {
			return fmt.Errorf("%w: the panel %s hands out the unencrypted %s://%s; "+
				"enable TLS for the node, or set Config.AllowInsecure", ErrInsecureSocket, c.cfg.Origin, u.Scheme, u.Host)
		}
	default:
		return fmt.Errorf("the socket that was handed out begins with %q, not with wss", printable(u.Scheme, 20))
	}
	return nil
}

// retryAfterOf returns how long an error says to wait; 0 if it does not say.
func retryAfterOf(err error) time.Duration {
	var refused *PanelError
	if errors.As(err, &refused) {
		return refused.RetryAfter
	}
	return 0
}
