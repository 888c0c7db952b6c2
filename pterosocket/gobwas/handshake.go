package gobwas

import (
	"crypto/rand"
	"crypto/sha1" // of the protocol
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/gobwas/httphead"
	"github.com/gobwas/ws/wsflate"
)

// A handshake is the client's side of the websocket handshake (RFC 6455, section 4.1), which net/http carries: the
// library's own knows neither proxies nor cookies.
type handshake struct {
	key     string
	deflate bool // offer permessage-deflate
}

func newHandshake(deflate bool) handshake {
	var nonce [16]byte
	_, _ = rand.Read(nonce[:]) // never fails
	return handshake{base64.StdEncoding.EncodeToString(nonce[:]), deflate}
}

// ask adds what a request needs.
func (h handshake) ask(header http.Header) {
	header.Set("Connection", "Upgrade")
	header.Set("Upgrade", "websocket")
	header.Set("Sec-WebSocket-Version", "13")
	header.Set("Sec-WebSocket-Key", h.key)
	if h.deflate { // every message by itself: with takeover each connection would need a window
		header.Set("Sec-WebSocket-Extensions", wsflate.ExtensionName+"; client_no_context_takeover; server_no_context_takeover")
	}
}

// check checks the answer, and reports whether messages may be compressed.
func (h handshake) check(header http.Header) (deflate bool, err error) {
	accept := sha1.Sum([]byte(h.key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	switch {
	case !hasToken(header, "Connection", "upgrade"):
		return false, errors.New(`"Connection: Upgrade" is missing`)
	case !hasToken(header, "Upgrade", "websocket"):
		return false, errors.New(`"Upgrade: websocket" is missing`)
	case header.Get("Sec-WebSocket-Accept") != base64.StdEncoding.EncodeToString(accept[:]):
		return false, errors.New("Sec-WebSocket-Accept is not the answer to the key that was sent")
	case header.Get("Sec-WebSocket-Protocol") != "":
		return false, errors.New("it chose a subprotocol, of which none was offered")
	}
	answer := strings.Join(header.Values("Sec-WebSocket-Extensions"), ",")
	if answer == "" {
		return false, nil
	}
	extensions, ok := httphead.ParseOptions([]byte(answer), nil)
	if !ok || len(extensions) != 1 || string(extensions[0].Name) != wsflate.ExtensionName || !h.deflate {
		return false, fmt.Errorf("it chose the extensions %q, which were not offered", answer)
	}
	var got wsflate.Parameters
	if err := got.Parse(extensions[0]); err != nil {
		return false, err
	}
	if !got.ServerNoContextTakeover {
		return false, fmt.Errorf("it chose the compression %q, where only server_no_context_takeover was offered", answer)
	}
	return true, nil
}

// hasToken reports whether a header that is a list has token, which is in lower case.
func hasToken(header http.Header, name, token string) bool {
	for _, value := range header.Values(name) {
		for part := range strings.SplitSeq(value, ",") {
			if strings.ToLower(strings.TrimSpace(part)) == token {
				return true
			}
		}
	}
	return false
}
