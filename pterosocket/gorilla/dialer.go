package gorilla

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/gorilla/websocket"

	"github.com/pterosocket/pterosocket-go/pterosocket"
)

// Dialer is a pterosocket.Dialer. Its zero value is ready for use.
type Dialer struct {
	// HTTPClient lends the handshake its cookies and, from its *http.Transport, its proxy, TLS configuration and dial functions. Nil:
	// http.DefaultTransport's. A Transport of another type is refused by Dial, since there is no way to take over its connection.
	HTTPClient *http.Client
	// Compression offers permessage-deflate. pterosocket.Config.Compression is for the default Dialer only.
	Compression bool
}

var _ pterosocket.Dialer = Dialer{}

// writeBuffers are needed only while something is being written.
var writeBuffers sync.Pool

// Dial opens a websocket. ctx governs the handshake only. The error is a *pterosocket.HandshakeError when the server answers but
// refuses.
func (d Dialer) Dial(ctx context.Context, url string, header http.Header) (pterosocket.Conn, error) {
	transport, err := d.transport()
	if err != nil {
		return nil, err
	}
	var (
		stream  *stream
		abandon func() bool
	)
	// The library heeds ctx's deadline in the middle of a handshake, but not its cancellation.
	wrap := func(dial dialFunc) dialFunc {
		if dial == nil {
			return nil
		}
		return func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := dial(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			stream = newStream(conn)
			abandon = context.AfterFunc(ctx, func() { _ = conn.Close() })
			return stream, nil
		}
	}
	dial := transport.DialContext
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	dialer := websocket.Dialer{
		NetDialContext:    wrap(dial),
		NetDialTLSContext: wrap(transport.DialTLSContext),
		Proxy:             transport.Proxy,
		TLSClientConfig:   tlsConfig(transport.TLSClientConfig),
		ReadBufferSize:    readBuffer,
		WriteBufferPool:   &writeBuffers,
		EnableCompression: d.Compression,
	}
	if d.HTTPClient != nil {
		dialer.Jar = d.HTTPClient.Jar
	}
	if rest, ok := strings.CutPrefix(url, "http"); ok { // https is wss to other libraries
		url = "ws" + rest
	}
	ws, resp, err := dialer.DialContext(ctx, url, header)
	cut := abandon != nil && !abandon() // ctx has ended, and the stream with it
	if err == nil && cut {
		_ = ws.Close()
		err = context.Cause(ctx)
	}
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if errors.Is(err, websocket.ErrBadHandshake) && resp != nil {
			body, _ := io.ReadAll(resp.Body) // in memory already, 1,024 bytes at most
			return nil, &pterosocket.HandshakeError{StatusCode: resp.StatusCode, Body: string(body)}
		}
		return nil, err
	}
	return newConn(ws, stream), nil
}

type dialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

func (d Dialer) transport() (*http.Transport, error) {
	var rt http.RoundTripper
	if d.HTTPClient != nil {
		rt = d.HTTPClient.Transport
	}
	if rt == nil {
		rt = http.DefaultTransport
	}
	transport, ok := rt.(*http.Transport)
	if !ok {
		return nil, fmt.Errorf("gorilla.Dialer: HTTPClient.Transport is a %T; it must be an *http.Transport, whose dial functions are used", rt)
	}
	return transport.Clone(), nil // which also waits for a first request that completes it
}

// tlsConfig speaks HTTP/1.1 only: a websocket cannot be opened over HTTP/2 here.
func tlsConfig(base *tls.Config) *tls.Config {
	if base == nil {
		return nil
	}
	cfg := base.Clone()
	cfg.NextProtos = slices.DeleteFunc(slices.Clone(cfg.NextProtos), func(p string) bool { return p != "http/1.1" })
	return cfg
}
