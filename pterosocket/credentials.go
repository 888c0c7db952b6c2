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

// A CredentialSource hands out tokens. A connection never calls Credentials concurrently, and at most five times a
// minute. Credentials must return when ctx ends. Its error decides what follows. If errors.Is finds ErrUnauthorized,
// ErrForbidden or ErrServerNotFound in it, the error is final. While the connection is up, it is final only if it comes
// again 30 s later. Once connected, the library waits until ErrConflict is over. It retries after any other error.
type CredentialSource interface {
	Credentials(ctx context.Context) (Credentials, error)
}

// Credentials are what opens a daemon's websocket. Token goes into the first frame, and Socket is the URL to dial.
// Credentials that are printed, logged or marshalled do not show the token.
type Credentials struct{ Token, Socket string }

// Format prints the credentials without the token, for every verb.
func (c Credentials) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "pterosocket.Credentials{Token:"+redacted+" Socket:"+c.Socket+"}")
}

// LogValue returns the credentials without the token.
func (c Credentials) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(c)) }

// MarshalJSON returns the credentials without the token.
func (c Credentials) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct{ Token, Socket string }{redacted, c.Socket})
}

// An IssuedToken is the token of a connection, for Config.Token of a later one. What is printed, logged or marshalled
// does not show the token.
type IssuedToken struct {
	Credentials
	Asked time.Time // when it was asked for; it ends ten minutes later, or when it says
}

// Token returns the token in use; ok is false while there is none. It opens the server's console for whoever has it, so
// store it only where the API key might be stored.
func (c *Commands) Token() (token IssuedToken, ok bool) {
	s, _ := c.c.current()
	if s == nil || !s.isAuthenticated() {
		return IssuedToken{}, false
	}
	tok := s.look().token
	return IssuedToken{Credentials{tok.Token, tok.Socket}, tok.Asked}, true
}

// keepToken makes the first connection use Config.Token, if that can be used.
func (c *client) keepToken(t IssuedToken) {
	if t.Token != "" && !t.Asked.IsZero() && c.checkSocket(t.Socket) == nil {
		c.tokens.Keep(panel.Credentials{Token: t.Token, Socket: t.Socket}, t.Asked)
	}
}

// credentials is what the token cache calls for a new token. Its errors never show the API key.
func (c *client) credentials(ctx context.Context) (creds panel.Credentials, err error) {
	c.count.credentialRequests.Add(1)
	creds, err = c.ask(ctx)
	if err == nil {
		err = c.checkSocket(creds.Socket)
	}
	return creds, c.member.judged(c, redact(err, c.cfg.APIKey))
}

// ask asks Config.Credentials or, if that is nil, the panel.
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

// PanelCredentials returns the source that is used if Config.Credentials is nil. It asks the panel at Origin with
// APIKey for Server. Use it in a source of your own that counts or caches. If cfg is invalid, every call of Credentials
// returns an error for which errors.Is(err, ErrInvalidConfig) holds.
func PanelCredentials(cfg Config) CredentialSource {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return noSource{err}
	}
	return &panelSource{panelOf(cfg)}
}

// panelOf returns the panel client for a Config that has its defaults.
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

// noSource stands in for a source that cannot be made, because the Config is invalid.
type noSource struct{ err error }

func (n noSource) Credentials(context.Context) (Credentials, error) { return Credentials{}, n.err }

// checkSocket refuses an unencrypted socket from an https panel, unless Config.AllowInsecure is set. It also refuses
// what is not the URL of a websocket.
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

// retryAfterOf returns how long err says to wait, or 0 if it does not say.
func retryAfterOf(err error) time.Duration {
	var refused *PanelError
	if errors.As(err, &refused) {
		return refused.RetryAfter
	}
	return 0
}
