package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"

	coder "github.com/coder/websocket"
	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	gorilla "github.com/gorilla/websocket"
	"github.com/lxzan/gws"
	nhooyr "nhooyr.io/websocket"

	"github.com/pterosocket/pterosocket-go/pterosocket"
	ours "github.com/pterosocket/pterosocket-go/pterosocket/gobwas"
)

// A contestant is one of those that are compared.
type contestant struct {
	connect connect
	reads   bool // by itself, whether anybody waits for a message or not
}

// connect opens a connection to the load server and returns what waits for one message. The text is only wanted of
// those who have it anyway. It returns io.EOF at the end of a flood.
type connect func(ctx context.Context, host, server string) (next func() (text string, err error), err error)

// The names say what is measured: the library on a transport, a library's bare read loop with nothing decoded, or the
// usual way.
var contestants = map[string]contestant{
	"pterosocket":              {library(nil), true},
	"pterosocket/gobwas":       {library(ours.Dialer{}), true},
	"pterosocket on coder":     {library(coderDialer{}), true},
	"pterosocket on gorilla":   {library(gorillaDialer{}), true},
	"pterosocket on gws":       {library(gwsDialer{}), true},
	"nhooyr, bare":             {bareNhooyr(nil), false},
	"nhooyr and encoding/json": {bareNhooyr(decodeJSON), false},
	"coder, bare":              {bareCoder, false},
	"gorilla, bare":            {bareGorilla, false},
	"gobwas, bare":             {bareGobwas, false},
	"gws, bare":                {bareGws, true},
}

// library is pterosocket itself, from Connect to the events channel.
func library(dialer pterosocket.Dialer) connect {
	return func(ctx context.Context, host, server string) (func() (string, error), error) {
		events, _, err := pterosocket.Connect(ctx, pterosocket.Config{
			Origin: "http://" + host, APIKey: "x", Server: server, Dialer: dialer,
			QueueSize: 1 << 22, // the flood is faster than any console; nothing is to be dropped
		})
		if err != nil {
			return nil, err
		}
		return func() (string, error) {
			for ev := range events {
				if ev, ok := ev.(pterosocket.ConsoleOutput); ok {
					if ev.Line == endLine {
						return "", io.EOF
					}
					return ev.Line, nil
				}
			}
			return "", io.ErrUnexpectedEOF
		}, nil
	}
}

const authText = `{"event":"auth","args":["x"]}`

// endLen tells the last frame of a flood from the others.
var endLen = len(frameOf(endLine))

// received is what a bare loop makes of a message.
func received(message []byte, decode func([]byte) string) (string, error) {
	if len(message) == endLen {
		return "", io.EOF
	}
	if decode != nil {
		return decode(message), nil
	}
	if len(message) < 80 { // of a latency run
		return string(message), nil
	}
	return "", nil
}

// decodeJSON is what a client without a decoder of its own does.
func decodeJSON(message []byte) string {
	var frame struct {
		Event string   `json:"event"`
		Args  []string `json:"args"`
	}
	if json.Unmarshal(message, &frame) != nil || len(frame.Args) == 0 {
		return ""
	}
	return frame.Args[0]
}

func url(host, server string) string { return "ws://" + host + "/ws/" + server }

// readAll reads a message into a buffer that is large enough for all of them.
func readAll(r io.Reader, buf []byte) ([]byte, error) {
	n := 0
	for {
		m, err := r.Read(buf[n:])
		n += m
		switch err {
		case nil:
		case io.EOF:
			return buf[:n], nil
		default:
			return nil, err
		}
	}
}

// largest is the largest message of the load server.
const largest = 1 << 10

// loop is a bare read loop: each message into one buffer, and no more.
func loop(decode func([]byte) string, next func() (io.Reader, error)) func() (string, error) {
	buf := make([]byte, largest)
	return func() (string, error) {
		r, err := next()
		if err != nil {
			return "", err
		}
		message, err := readAll(r, buf)
		if err != nil {
			return "", err
		}
		return received(message, decode)
	}
}

func bareNhooyr(decode func([]byte) string) connect {
	return func(ctx context.Context, host, server string) (func() (string, error), error) {
		c, _, err := nhooyr.Dial(ctx, url(host, server), nil)
		if err != nil {
			return nil, err
		}
		if err := c.Write(ctx, nhooyr.MessageText, []byte(authText)); err != nil {
			return nil, err
		}
		return loop(decode, func() (io.Reader, error) {
			_, r, err := c.Reader(context.Background()) // one that ends costs more
			return r, err
		}), nil
	}
}

func bareCoder(ctx context.Context, host, server string) (func() (string, error), error) {
	c, _, err := coder.Dial(ctx, url(host, server), nil)
	if err != nil {
		return nil, err
	}
	if err := c.Write(ctx, coder.MessageText, []byte(authText)); err != nil {
		return nil, err
	}
	return loop(nil, func() (io.Reader, error) {
		_, r, err := c.Reader(context.Background())
		return r, err
	}), nil
}

func bareGorilla(ctx context.Context, host, server string) (func() (string, error), error) {
	c, _, err := gorilla.DefaultDialer.DialContext(ctx, url(host, server), nil)
	if err != nil {
		return nil, err
	}
	if err := c.WriteMessage(gorilla.TextMessage, []byte(authText)); err != nil {
		return nil, err
	}
	return loop(nil, func() (io.Reader, error) {
		_, r, err := c.NextReader()
		return r, err
	}), nil
}

func bareGobwas(ctx context.Context, host, server string) (func() (string, error), error) {
	conn, br, _, err := ws.Dial(ctx, url(host, server))
	if err != nil {
		return nil, err
	}
	if err := wsutil.WriteClientText(conn, []byte(authText)); err != nil {
		return nil, err
	}
	r := bufio.NewReader(conn)
	if br != nil { // the server has spoken already
		ahead, _ := br.Peek(br.Buffered()) // it is there
		r = bufio.NewReader(io.MultiReader(bytes.NewReader(bytes.Clone(ahead)), conn))
	}
	var header [ws.MaxHeaderSize]byte
	buf := make([]byte, largest)
	return func() (string, error) {
		h, err := ws.ReadHeaderBuffer(r, header[:])
		if err != nil {
			return "", err
		}
		if _, err := io.ReadFull(r, buf[:h.Length]); err != nil {
			return "", err
		}
		return received(buf[:h.Length], nil)
	}, nil
}

// gws calls its handler itself, so each message is handed over to whoever waits for one.
func bareGws(_ context.Context, host, server string) (func() (string, error), error) {
	h := &gwsBare{messages: make(chan outcome, 256)}
	c, _, err := gws.NewClient(h, &gws.ClientOption{Addr: url(host, server)})
	if err != nil {
		return nil, err
	}
	if err := c.WriteString(authText); err != nil {
		return nil, err
	}
	go c.ReadLoop()
	return func() (string, error) {
		o := <-h.messages
		return o.text, o.err
	}, nil
}

type outcome struct {
	text string
	err  error
}

type gwsBare struct {
	gws.BuiltinEventHandler
	messages chan outcome
}

func (h *gwsBare) OnMessage(_ *gws.Conn, m *gws.Message) {
	text, err := received(m.Data.Bytes(), nil)
	_ = m.Close()
	h.messages <- outcome{text, err}
}
