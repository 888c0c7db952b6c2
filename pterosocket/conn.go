package pterosocket

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/pterosocket/pterosocket-go/internal/transport"
)

// A Dialer opens websockets with a library of its own choice. ctx governs only the handshake. header holds the Origin
// and User-Agent headers. If the daemon answers the handshake but refuses, Dial returns a *HandshakeError (StatusCode
// and Body are enough). Dial may be called concurrently.
type Dialer interface {
	Dial(ctx context.Context, url string, header http.Header) (Conn, error)
}

// A ConfigurableDialer is a Dialer that takes the settings of Config for the handshake.
type ConfigurableDialer interface {
	Dialer
	// Configure returns a Dialer that uses client, unless the receiver has a client of its own or client is nil. The
	// returned Dialer offers compression if compression is true or the receiver offers it already.
	Configure(client *http.Client, compression bool) Dialer
}

// Conn is one websocket connection. Read is never called concurrently with itself, and neither is Write. All other
// calls may be concurrent.
type Conn interface {
	// Read returns the next text or binary message. The message stays valid only until the next Read, so it may be a
	// part of the read buffer. If a message has more than limit bytes, Read skips it and returns an error for which
	// errors.Is(err, ErrFrameTooLong) holds. The connection goes on as before. After a close frame Read returns a
	// *CloseError (Code 1005 if the frame had none). Close unblocks Read.
	Read(limit int64) ([]byte, error)
	// Write writes one text message. If ctx ends in the middle of writing, the connection may be lost. If ctx ends
	// before, nothing happens to the connection.
	Write(ctx context.Context, message []byte) error
	// Ping sends a ping and waits for its pong. If ctx ends first, Ping returns ctx's error. The connection lives on,
	// unless the ping was just being written.
	Ping(ctx context.Context) error
	// Close sends a close frame. It waits until the running Read gets the peer's close frame, or until ctx ends.
	// Messages that come before the peer's close frame are still read. If ctx has already ended, Close tears the
	// connection down at once. When Close returns, no goroutine of the connection is left except a Read that is about
	// to return.
	Close(ctx context.Context, code int, reason string) error
}

// A Waiter is a Conn that tells when its Read is about to wait for the network. The library then hands on together the
// lines that arrived together. With a Conn that is not a Waiter, it hands on each line by itself, which costs more.
type Waiter interface {
	Conn
	// OnWait is called once, before the first Read. Read must call f whenever it is about to wait for the network, even
	// in the middle of a message. Close may call f too.
	OnWait(f func())
}

// ErrFrameTooLong is what Conn.Read returns for a message over its limit.
var ErrFrameTooLong = transport.ErrTooLong

// defaultDialer opens websockets with nhooyr.io/websocket.
type defaultDialer transport.Dialer

func (d defaultDialer) Dial(ctx context.Context, url string, header http.Header) (Conn, error) {
	conn, err := transport.Dialer(d).Dial(ctx, url, header)
	if err == nil {
		return defaultConn{conn}, nil
	}
	var refused *transport.HandshakeError
	if errors.As(err, &refused) {
		err = &HandshakeError{StatusCode: refused.StatusCode, Body: refused.Body}
	}
	return nil, err
}

// defaultConn turns the close errors of internal/transport into CloseErrors.
type defaultConn struct{ *transport.Conn }

func (c defaultConn) Read(limit int64) ([]byte, error) {
	data, err := c.Conn.Read(limit)
	if closed, ok := err.(*transport.CloseError); ok {
		err = (*CloseError)(closed)
	}
	return data, err
}

// hint says what to do about a refused handshake.
func hint(e *HandshakeError, origin string) string {
	switch {
	case errors.Is(e, ErrOriginRejected):
		return "the Origin sent was " + origin + ": it must equal the panel's URL in the daemon's configuration, letter by letter; " +
			"check \"remote\" and \"allowed_origins\" in the daemon's config.yml, and Config.Origin or Config.OriginHeader here"
	case errors.Is(e, ErrServerNotFound):
		return "the daemon does not know the server; was it moved or deleted?"
	case e.StatusCode/100 == 3:
		return "it redirects to another address, where the token is not sent; check the node's address in the panel, and the proxy before it"
	case errors.Is(e, ErrTooManyConnections):
		return "close other consoles of this server (a daemon allows 30)"
	case e.StatusCode == http.StatusBadRequest && strings.Contains(e.Body, "<"), e.StatusCode >= 500:
		return "the daemon or a proxy in front of it is not well; check that the proxy passes websockets on"
	}
	return ""
}
