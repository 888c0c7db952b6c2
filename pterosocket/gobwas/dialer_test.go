package gobwas_test

import (
	"context"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/pterosocket/pterosocket-go/pterosocket"
	"github.com/pterosocket/pterosocket-go/pterosocket/gobwas"
)

// A handshake that is refused, or hangs, ends with what the library expects.
func TestDialFails(t *testing.T) {
	asked := make(chan struct{}, 1)
	release := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/away":
			http.Redirect(w, r, "ws://"+r.Host, http.StatusFound)
		case "/round":
			http.Redirect(w, r, "ws://"+r.Host+"/round", http.StatusFound)
		case "/hang in the body":
			w.Header().Set("Content-Length", "100")
			w.WriteHeader(http.StatusBadGateway)
			_ = http.NewResponseController(w).Flush()
			fallthrough
		case "/hang":
			asked <- struct{}{}
			<-release
		default:
			http.Error(w, strings.Repeat("Forbidden", 1000), http.StatusForbidden)
		}
	}))
	defer srv.Close()
	defer http.DefaultClient.CloseIdleConnections()
	defer close(release)
	url := "ws" + strings.TrimPrefix(srv.URL, "http")

	_, err := gobwas.Dialer{HTTPClient: srv.Client()}.Dial(t.Context(), url, nil)
	var refused *pterosocket.HandshakeError
	if !errors.As(err, &refused) || refused.StatusCode != 403 || !strings.HasPrefix(refused.Body, "Forbidden") || len(refused.Body) != 1024 {
		t.Errorf("refused: %#v", err)
	}
	for _, path := range []string{"/hang", "/hang%20in%20the%20body"} {
		cause := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		go func() {
			<-asked
			cancel(cause)
		}()
		if _, err := (gobwas.Dialer{HTTPClient: srv.Client()}).Dial(ctx, url+path, nil); !errors.Is(err, cause) {
			t.Errorf("%s, cancelled: %v", path, err)
		}
	}
	for _, away := range []string{url + "/away", strings.ToUpper(url[:2]) + url[2:] + "/away"} { // to a ws URL, and from there to a refusal
		if _, err := (gobwas.Dialer{}).Dial(t.Context(), away, nil); !errors.As(err, &refused) || refused.StatusCode != 403 {
			t.Errorf("%s: %v", away, err)
		}
	}
	if _, err := (gobwas.Dialer{}).Dial(t.Context(), url+"/round", nil); !errors.As(err, &refused) || refused.StatusCode != 302 {
		t.Errorf("redirected for ever: %v", err)
	}
	if _, err := (gobwas.Dialer{}).Dial(t.Context(), "ws://%", nil); err == nil {
		t.Error("a URL that is none was taken")
	}
}

// answerer answers a handshake with what answer makes of the right answer.
type answerer func(*http.Response)

func (a answerer) RoundTrip(req *http.Request) (*http.Response, error) {
	sum := sha1.Sum([]byte(req.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	resp := &http.Response{StatusCode: http.StatusSwitchingProtocols, Header: http.Header{}, Body: stream{}}
	resp.Header.Set("Connection", "keep-alive, Upgrade")
	resp.Header.Set("Upgrade", "WebSocket")
	resp.Header.Set("Sec-WebSocket-Accept", base64.StdEncoding.EncodeToString(sum[:]))
	a(resp)
	return resp, nil
}

type stream struct{ io.ReadWriter }

func (stream) Close() error { return nil }

// What is not the answer to what was asked for is refused.
func TestHandshake(t *testing.T) {
	for name, test := range map[string]struct {
		compression bool
		answer      func(*http.Response)
		fine        bool
	}{
		"right":             {answer: func(*http.Response) {}, fine: true},
		"no Connection":     {answer: func(r *http.Response) { r.Header.Del("Connection") }},
		"another Upgrade":   {answer: func(r *http.Response) { r.Header.Set("Upgrade", "h2c") }},
		"another key":       {answer: func(r *http.Response) { r.Header.Set("Sec-WebSocket-Accept", "x") }},
		"subprotocol":       {answer: func(r *http.Response) { r.Header.Set("Sec-WebSocket-Protocol", "x") }},
		"body to read only": {answer: func(r *http.Response) { r.Body = http.NoBody }},
		"unasked compression": {answer: func(r *http.Response) {
			r.Header.Set("Sec-WebSocket-Extensions", "permessage-deflate; server_no_context_takeover")
		}},
		"asked compression": {compression: true, fine: true, answer: func(r *http.Response) {
			r.Header.Set("Sec-WebSocket-Extensions", "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12")
		}},
		"declined compression": {compression: true, answer: func(*http.Response) {}, fine: true},
		"compression with takeover": {compression: true, answer: func(r *http.Response) {
			r.Header.Set("Sec-WebSocket-Extensions", "permessage-deflate")
		}},
		"odd compression": {compression: true, answer: func(r *http.Response) {
			r.Header.Set("Sec-WebSocket-Extensions", "permessage-deflate; server_no_context_takeover; fast")
		}},
		"another extension": {compression: true, answer: func(r *http.Response) {
			r.Header.Set("Sec-WebSocket-Extensions", "permessage-deflate; server_no_context_takeover, x-mux")
		}},
	} {
		d := gobwas.Dialer{HTTPClient: &http.Client{Transport: answerer(test.answer)}, Compression: test.compression}
		if _, err := d.Dial(t.Context(), "ws://daemon", nil); (err == nil) != test.fine {
			t.Errorf("%s: %v", name, err)
		}
	}
}
