package pterosocket

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/pterosocket/pterosocket-go/internal/panel"
)

// Config says what to connect to, and how. Origin, APIKey and Server are required. Every other field's zero value is a
// sensible default. Connect works on a copy. A Config that is printed, logged or marshalled does not show its API key.
type Config struct {
	// Origin is the panel's base URL, such as https://panel.example.com. The library cuts off a path and a trailing
	// slash.
	Origin string
	// APIKey is a client API key of the panel (not an application key). It is not needed if Credentials is set.
	APIKey string
	// Server is the server's short identifier or its UUID.
	Server string

	// Credentials is the source of the token and the URL. Nil: the panel at Origin, asked with APIKey.
	Credentials CredentialSource
	// HTTPClient makes the requests to the panel. A ConfigurableDialer, such as the default one, also uses it for the
	// websocket handshake. Nil: the library makes its own. The library never closes its idle connections.
	HTTPClient *http.Client
	// Dialer opens the websocket. Nil: nhooyr.io/websocket. Module pterosocket/gobwas has a Dialer that is faster and
	// needs less memory.
	Dialer Dialer
	// Logger gets what an operator needs to follow an incident: what happened, what the library tries next, and when.
	// Nil: silent. A handler may call Commands.Close, which then returns after a second.
	Logger *slog.Logger
	// OriginHeader is the Origin header for the daemon. It must equal the panel's URL in the daemon's own
	// configuration. "": Origin.
	OriginHeader string
	// AllowInsecure accepts an unencrypted ws:// socket from an https panel. False: the library refuses it with
	// ErrInsecureSocket.
	AllowInsecure bool
	// Compression offers permessage-deflate, which Pelican and Pterodactyl 1.12 accept. It saves traffic and costs
	// time. With a Dialer that is not a ConfigurableDialer, Connect fails with ErrInvalidConfig: set compression in the
	// Dialer itself.
	Compression bool
	// History asks for the daemon's recent lines on the first connection. They come with ConsoleOutput.Replayed set.
	History bool
	// QueueSize is how many events are kept for a slow consumer. Memory is allocated only as needed. 0: 8192. The size
	// of these events is limited too, to 16 MiB.
	QueueSize int
	// ReadLimit is the size of the longest frame in bytes. A longer frame is skipped and reported as an Error event. 0:
	// 1 MiB. The maximum is 1 GiB.
	ReadLimit int64
	// PingInterval is the time between two pings that keep the connection alive. 0: 30 s. Negative: none. Pings that
	// follow commands are sent in any case.
	PingInterval time.Duration
	// ConnectTimeout is how long Connect retries after temporary errors. 0: 30 s. Negative: until ctx ends. A negative
	// value also makes Connect wait while the server is suspended or installing, and while the panel wants no requests
	// for a long time.
	ConnectTimeout time.Duration
	// Backoff sets the delays between attempts to connect.
	Backoff Backoff
	// Limits are the rates at which commands are sent. Zero: the daemon's own limits, which the library learns from the
	// token.
	Limits Limits
	// NoResume turns off the request for the daemon's history after a reconnect. Every reconnect then reports a Gap.
	NoResume bool
	// After holds the last console lines that an earlier connection delivered, oldest first. Only the last 512 are
	// used. The lines printed since then come first, with Replayed set. A Gap marks a place where the library cannot
	// show that nothing is missing. So a service that stores its last lines can restart without losing or repeating a
	// line. Empty but not nil: every line of the daemon's history is new, and a Gap comes if it cannot be read. Nil:
	// off. After takes precedence over History.
	After []string
	// Token is one that an earlier connection had: Commands.Token returned it. As long as it is good, connecting takes no
	// request to the panel. If the daemon refuses it, the library asks for a fresh one. Zero: there is none.
	Token IssuedToken
	// DrainTimeout is how long a consumer may take nothing after the end of ctx or a final error. Then the events
	// already received are given up. 0: 1 s. Negative: they are given up at once.
	DrainTimeout time.Duration
}

// Backoff is an exponential backoff with full jitter. Each delay is random, between zero and a window that doubles from
// Min to Max. 0: 500 ms and 30 s. After a connection is lost, the window begins at eight times Min. So the many clients
// of one daemon do not all come back within the same second.
type Backoff struct{ Min, Max time.Duration }

// Limits are the rates at which a daemon takes messages. The library knows by itself that a daemon of Pterodactyl
// before 1.12 has none: its panel answers with "data" and puts no scope into the tokens. Set Unlimited for another
// daemon that is known to have none. The library then keeps only the order of commands.
type Limits struct{ Unlimited bool }

// withDefaults checks c and fills in what is missing.
func (c Config) withDefaults() (Config, error) {
	invalid := func(field, why string) (Config, error) {
		return c, fmt.Errorf("%w: %s: %s", ErrInvalidConfig, field, why)
	}
	origin, err := panel.NormalizeOrigin(c.Origin)
	switch {
	case c.Origin == "":
		return invalid("Origin", "it is required: the panel's base URL, such as https://panel.example.com")
	case err != nil:
		return invalid("Origin", err.Error())
	case c.Server == "":
		return invalid("Server", "it is required: the server's identifier, as in the panel's address bar")
	case strings.ContainsFunc(c.Server, notIdentifier):
		return invalid("Server", "it must be an identifier or UUID: letters, digits and hyphens")
	case c.Credentials == nil && c.APIKey == "":
		return invalid("APIKey", "it is required unless Credentials is set; create one in the panel under Account, API Credentials")
	case strings.ContainsFunc(c.APIKey, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return invalid("APIKey", "it holds a space, a line break or another character that no key has")
	case c.QueueSize < 0 || c.ReadLimit < 0 || c.Backoff.Min < 0 || c.Backoff.Max < 0:
		return invalid("QueueSize, ReadLimit or Backoff", "it is negative")
	case strings.ContainsFunc(c.OriginHeader, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return invalid("OriginHeader", "it holds a space, a line break or another character that no origin has")
	}
	c.Origin = origin
	c.OriginHeader = cmp.Or(c.OriginHeader, c.Origin)
	c.QueueSize = cmp.Or(c.QueueSize, 8192)
	c.ReadLimit = min(cmp.Or(c.ReadLimit, 1<<20), 1<<30)
	c.PingInterval = cmp.Or(c.PingInterval, 30*time.Second)
	c.ConnectTimeout = cmp.Or(c.ConnectTimeout, 30*time.Second)
	c.DrainTimeout = cmp.Or(c.DrainTimeout, time.Second)
	c.Backoff.Min = cmp.Or(c.Backoff.Min, 500*time.Millisecond)
	c.Backoff.Max = max(cmp.Or(c.Backoff.Max, 30*time.Second), c.Backoff.Min)
	c.Logger = cmp.Or(c.Logger, slog.New(slog.DiscardHandler))
	if d, ok := c.Dialer.(ConfigurableDialer); ok {
		c.Dialer = d.Configure(c.HTTPClient, c.Compression)
	} else if c.Dialer != nil && c.Compression {
		return invalid("Compression", "this Dialer cannot be told of it; set it in the Dialer, if it has a field for that")
	}
	c.HTTPClient = cmp.Or(c.HTTPClient, defaultHTTPClient())
	c.Dialer = cmp.Or[Dialer](c.Dialer, defaultDialer{c.HTTPClient, c.Compression})
	return c, nil
}

// defaultHTTPClient returns the client for every Config without one. It keeps no idle connections, so nothing outlives
// a request.
var defaultHTTPClient = sync.OnceValue(func() *http.Client {
	t, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return &http.Client{}
	}
	t = t.Clone()
	t.DisableKeepAlives = true
	// A request's buffers are soon garbage. With many connections they would leave holes in the memory that stays in
	// use.
	t.ReadBufferSize, t.WriteBufferSize = 512, 512
	return &http.Client{Transport: t}
})

func notIdentifier(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
}

const redacted = "[redacted]"

// shown returns the fields that printing, logging and marshalling show.
func (c Config) shown() any {
	if c.APIKey != "" {
		c.APIKey = redacted
	}
	return struct {
		Origin, APIKey, Server, OriginHeader              string
		AllowInsecure, Compression, History, NoResume     bool
		QueueSize                                         int
		ReadLimit                                         int64
		PingInterval, ConnectTimeout                      time.Duration
		Backoff                                           Backoff
		Limits                                            Limits
		CustomCredentials, CustomHTTPClient, CustomDialer bool
	}{
		c.Origin, c.APIKey, c.Server, c.OriginHeader,
		c.AllowInsecure, c.Compression, c.History, c.NoResume,
		c.QueueSize, c.ReadLimit, c.PingInterval, c.ConnectTimeout, c.Backoff, c.Limits,
		c.Credentials != nil, c.HTTPClient != nil, c.Dialer != nil,
	}
}

// Format prints the config without its API key, for every verb.
func (c Config) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "pterosocket.Config%+v", c.shown())
}

// LogValue returns the config without its API key.
func (c Config) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(c)) }

// MarshalJSON returns the config without its API key.
func (c Config) MarshalJSON() ([]byte, error) { return json.Marshal(c.shown()) }

// redact removes secrets from the text of err. errors.Is and errors.As work as before.
func redact(err error, secrets ...string) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	for _, s := range secrets {
		if s != "" {
			text = strings.ReplaceAll(text, s, redacted)
		}
	}
	if text == err.Error() {
		return err
	}
	return &cleanError{text, err}
}

// cleanError is an error whose own text held a secret. It has no Unwrap method, but errors.Is and errors.As work.
type cleanError struct {
	text string
	err  error
}

func (e *cleanError) Error() string        { return e.text }
func (e *cleanError) Is(target error) bool { return errors.Is(e.err, target) }
func (e *cleanError) As(target any) bool   { return errors.As(e.err, target) }
