package transport

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"

	"nhooyr.io/websocket"

	"github.com/pterosocket/pterosocket-go/internal/redirect"
)

// HandshakeError says that the server answered the handshake with something else than an upgrade.
type HandshakeError struct {
	StatusCode int
	Body       string // its first 1,024 bytes
}

func (e *HandshakeError) Error() string {
	return fmt.Sprintf("the websocket handshake was answered with status %d", e.StatusCode)
}

// A Dialer opens websockets.
type Dialer struct {
	HTTPClient  *http.Client // required
	Compression bool         // offer permessage-deflate
}

// Dial opens a websocket. ctx governs the handshake only. It returns a *HandshakeError when the server answers but
// refuses.
func (d Dialer) Dial(ctx context.Context, url string, header http.Header) (*Conn, error) {
	client := *d.HTTPClient
	capture := capture{base: cmp.Or(client.Transport, http.DefaultTransport)}
	client.Transport = &capture
	client.CheckRedirect = redirect.SameHost(client.CheckRedirect)
	opts := &websocket.DialOptions{HTTPClient: &client, HTTPHeader: header}
	if d.Compression {
		// Without takeover a connection needs no window of its own; it is also all that a daemon agrees to.
		opts.CompressionMode = websocket.CompressionNoContextTakeover
	}
	ws, resp, err := websocket.Dial(ctx, url, opts)
	if err == nil {
		return newConn(ws, capture.stream), nil
	}
	if resp != nil && resp.StatusCode != http.StatusSwitchingProtocols {
		body, _ := io.ReadAll(resp.Body) // in memory already
		return nil, &HandshakeError{StatusCode: resp.StatusCode, Body: string(body)}
	}
	return nil, err
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
