package transport

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"nhooyr.io/websocket"

	"github.com/pterosocket/pterosocket-go/internal/redirect"
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

// Dial opens a websocket. ctx governs the handshake only. It returns a *HandshakeError when the server answers but
// refuses.
func Dial(ctx context.Context, url string, opts Options) (*Conn, error) {
	capture := capture{base: opts.HTTPClient.Transport}
	if capture.base == nil {
		capture.base = http.DefaultTransport
	}
	client := *opts.HTTPClient
	client.Transport = &capture
	client.CheckRedirect = redirect.SameHost(client.CheckRedirect)
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

// capture remembers the stream that a handshake ended in. The library offers no way to cut short a close handshake with
// a peer that is gone, but it ends when the stream does.
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

// OnWait lets Read, and Close, call f whenever they are about to wait for the network. It is called before the first
// Read.
func (c *Conn) OnWait(f func()) {
	if s, ok := c.raw.(*stream); ok {
		s.onWait = f
	}
}
