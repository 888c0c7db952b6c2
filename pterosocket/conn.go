package pterosocket

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/pterosocket/pterosocket-go/internal/transport"
)

// A Dialer opens websockets with a library of its own choice. Dial's ctx governs the handshake only. header holds the
// Origin. Dial returns a *HandshakeError (StatusCode and Body are enough) when the daemon answers the handshake but
// refuses.
type Dialer interface {
	Dial(ctx context.Context, url string, header http.Header) (Conn, error)
}

// A ConfigurableDialer is a Dialer that takes what Config says for the handshake.
type ConfigurableDialer interface {
	Dialer
	// Configure returns a Dialer that uses client, unless it has one of its own or client is nil, and offers compression
	// if either says so.
	Configure(client *http.Client, compression bool) Dialer
}

// Conn is one websocket connection. Read is never called concurrently with itself, nor is Write; everything else may
// be.
type Conn interface {
	// Read returns the next text or binary message, which stays valid until the next Read, so that it may be a part of the
	// buffer that it came in. A message of more than limit bytes it skips, returning an error that is ErrFrameTooLong,
	// after which the connection is as good as before. After a close frame it returns a *CloseError (Code 1005 when the
	// frame had none). Close unblocks it.
	Read(limit int64) ([]byte, error)
	// Write writes one text message. When ctx ends in the middle of it the connection may be lost; when it ends before,
	// nothing has happened.
	Write(ctx context.Context, message []byte) error
	// Ping sends a ping and waits for its pong. When ctx ends first it returns ctx's error, and the connection lives on
	// unless the ping was being written.
	Ping(ctx context.Context) error
	// Close sends a close frame and waits until ctx ends for the running Read to get the peer's; what comes before that is
	// still read. With a ctx that has ended it tears the connection down at once. When it returns, no goroutine of the
	// connection is left but a Read that is about to return.
	Close(ctx context.Context, code int, reason string) error
}

// A Waiter is a Conn that tells when its Read is about to wait for the network. Lines that have arrived together are
// then handed on together; with a Conn that is none, each is by itself, which costs more.
type Waiter interface {
	Conn
	// OnWait is called once, before the first Read. Read must call f whenever it is about to wait for the network, also in
	// the middle of a message. Close may call f too.
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

// defaultConn translates the close frames of internal/transport.
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
