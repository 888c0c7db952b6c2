package gobwas

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/pterosocket/pterosocket-go/internal/redirect"
	"github.com/pterosocket/pterosocket-go/pterosocket"
)

// Dialer is a pterosocket.Dialer. Its zero value is ready for use.
type Dialer struct {
	// HTTPClient makes the handshake, so its proxy, TLS configuration, cookies and dial functions are used. Nil:
	// Config.HTTPClient, or, if that is nil too, http.DefaultClient. It must speak HTTP/1.1, and the body of a "101
	// Switching Protocols" must be an io.ReadWriteCloser, as an *http.Transport's is.
	HTTPClient *http.Client
	// Compression offers permessage-deflate, as Config.Compression does.
	Compression bool
}

var _ pterosocket.ConfigurableDialer = Dialer{}

// Configure returns a Dialer that uses client, unless d has one or client is nil, and offers compression if either says
// so.
func (d Dialer) Configure(client *http.Client, compression bool) pterosocket.Dialer {
	if d.HTTPClient == nil {
		d.HTTPClient = client
	}
	d.Compression = d.Compression || compression
	return d
}

// Dial opens a websocket. ctx governs the handshake only. The error is a *pterosocket.HandshakeError when the server
// answers but refuses.
func (d Dialer) Dial(ctx context.Context, url string, header http.Header) (pterosocket.Conn, error) {
	client := *http.DefaultClient
	if d.HTTPClient != nil {
		client = *d.HTTPClient
	}
	if client.Timeout > 0 { // it would go on to govern the connection
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, client.Timeout)
		defer cancel()
		client.Timeout = 0
	}
	client.CheckRedirect = redirect.SameHost(client.CheckRedirect)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	redirect.AsHTTP(req.URL)
	for name, values := range header {
		req.Header[name] = values
	}
	h := newHandshake(d.Compression)
	h.ask(req.Header)
	resp, err := client.Do(req)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return nil, cause
		}
		return nil, err
	}
	conn, err := open(h, resp)
	if err != nil {
		_ = resp.Body.Close()
		if cause := context.Cause(ctx); cause != nil { // perhaps in the middle of the body
			return nil, cause
		}
		return nil, err
	}
	return conn, nil
}

// maxBody bounds how much of a refusal's body is read.
const maxBody = 1024

// open makes a connection of the answer to a handshake.
func open(h handshake, resp *http.Response) (*conn, error) {
	if resp.StatusCode != http.StatusSwitchingProtocols {
		body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, err
		}
		return nil, &pterosocket.HandshakeError{StatusCode: resp.StatusCode, Body: string(body)}
	}
	compressed, err := h.check(resp.Header)
	if err != nil {
		return nil, fmt.Errorf("the websocket handshake was answered wrongly; is a proxy in between? %w", err)
	}
	stream, ok := resp.Body.(io.ReadWriteCloser)
	if !ok {
		return nil, fmt.Errorf("gobwas.Dialer: HTTPClient.Transport answers with a %T, which cannot be written to; use an *http.Transport", resp.Body)
	}
	return newConn(stream, compressed), nil
}
