package transport

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"nhooyr.io/websocket"
)

// Options says how to Dial.
type Options struct {
	HTTPClient  *http.Client // required
	Header      http.Header  // sent with the handshake
	Compression bool         // offer permessage-deflate
}

// HandshakeError says that the server answered the handshake with something else than an upgrade.
type HandshakeError struct {
	StatusCode int
	Body       string // its first 1,024 bytes
	Header     http.Header
}

func (e *HandshakeError) Error() string {
	return fmt.Sprintf("the websocket handshake was answered with status %d", e.StatusCode)
}

// Dial opens a websocket. ctx governs the handshake only. It returns a *HandshakeError when the server answers but refuses.
func Dial(ctx context.Context, url string, opts Options) (*Conn, error) {
	capture := capture{base: opts.HTTPClient.Transport}
	if capture.base == nil {
		capture.base = http.DefaultTransport
	}
	client := *opts.HTTPClient
	client.Transport = &capture
	client.CheckRedirect = SameHost(client.CheckRedirect)
	mode := websocket.CompressionDisabled
	if opts.Compression {
		// Without takeover a connection needs no window of its own; it is also all that a daemon agrees to.
		mode = websocket.CompressionNoContextTakeover
	}
	ws, resp, err := websocket.Dial(ctx, url, &websocket.DialOptions{
		HTTPClient:      &client,
		HTTPHeader:      opts.Header,
		CompressionMode: mode,
	})
	if err != nil {
		if resp != nil && resp.StatusCode != http.StatusSwitchingProtocols {
			body, _ := io.ReadAll(resp.Body) // in memory already
			return nil, &HandshakeError{StatusCode: resp.StatusCode, Body: string(body), Header: resp.Header}
		}
		return nil, err
	}
	// Read counts against a limit of its own, since the library's closes the connection.
	ws.SetReadLimit(-1)
	return &Conn{ws: ws, raw: capture.stream}, nil
}

// SameHost lets a client follow a redirect only to where the first request went, by the same scheme, and not for ever: a token is sent
// on the connection that results. Any other answer stays what it is. next, if not nil, is asked too.
func SameHost(next func(*http.Request, []*http.Request) error) func(*http.Request, []*http.Request) error {
	return func(req *http.Request, via []*http.Request) error {
		to, from := *req.URL, *via[0].URL
		asHTTP(&to)
		asHTTP(&from)
		if to.Scheme != from.Scheme || to.Host != from.Host || len(via) >= maxRedirects {
			return http.ErrUseLastResponse
		}
		if next != nil {
			return next(req, via)
		}
		return nil
	}
}

// maxRedirects is how many redirects are followed.
const maxRedirects = 5

// asHTTP gives a websocket's URL the scheme that net/http knows.
func asHTTP(u *url.URL) {
	switch u.Scheme {
	case "ws":
		u.Scheme = "http"
	case "wss":
		u.Scheme = "https"
	}
}

// capture remembers the stream that a handshake ended in. The library offers no way to cut short a close handshake with a
// peer that is gone, but it ends when the stream does.
type capture struct {
	base   http.RoundTripper
	stream *stream
}

func (c *capture) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := c.base.RoundTrip(req)
	if err == nil && resp.StatusCode == http.StatusSwitchingProtocols {
		if body, ok := resp.Body.(io.ReadWriteCloser); ok {
			c.stream = &stream{ReadWriteCloser: body}
			resp.Body = c.stream
		}
	}
	return resp, err
}

// stream is the stream beneath. It tells when a Read is about to wait for the network.
type stream struct {
	io.ReadWriteCloser
	onWait func()
}

func (s *stream) Read(p []byte) (int, error) {
	if s.onWait != nil {
		s.onWait()
	}
	return s.ReadWriteCloser.Read(p)
}

// OnWait lets Read, and Close, call f whenever they are about to wait for the network. It is called before the first Read.
func (c *Conn) OnWait(f func()) {
	if s, ok := c.raw.(*stream); ok {
		s.onWait = f
	}
}
