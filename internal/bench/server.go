package main

import (
	"bufio"
	"context"
	"crypto/sha1" // the websocket handshake's own
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The load server is a panel and a daemon that do no more than the measurements need, so that the server is not what is
// measured: frames are built once and written many at a time.
//
// What a connection gets is written in the server's identifier: flood-N (N lines as fast as they are read), pace-N (N
// lines a second, each with the time of its writing), idle, and live (a stats frame a second and a line every two).

// line135 is a console line's frame of 135 bytes, as in the figures that this project began with.
var line135 = frameOf("[12:34:56] [Server thread/INFO]: Alex moved to the village near the wide river, 117 63 -204 o")

// endLine ends a flood.
const endLine = "END"

const statsText = `{"memory_bytes":536989696,"memory_limit_bytes":1181116006,"cpu_absolute":12.345,` +
	`"network":{"rx_bytes":29000,"tx_bytes":58000},"uptime":29000,"state":"running","disk_bytes":1048576}`

// frameOf returns a console line's text as a daemon sends it.
func frameOf(line string) []byte {
	text, _ := json.Marshal(line) // a string
	return fmt.Appendf(nil, `{"event":"console output","args":[%s]}`+"\n", text)
}

// appendFrame appends an unmasked text frame.
func appendFrame(buf, text []byte) []byte {
	const finText = 0x81
	switch n := len(text); {
	case n < 126:
		buf = append(buf, finText, byte(n))
	case n < 1<<16:
		buf = binary.BigEndian.AppendUint16(append(buf, finText, 126), uint16(n))
	default:
		buf = binary.BigEndian.AppendUint64(append(buf, finText, 127), uint64(n))
	}
	return append(buf, text...)
}

// serve runs the load server and prints its address.
func serve(ctx context.Context) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	srv := &http.Server{Handler: loadServer(), ReadHeaderTimeout: time.Minute}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func loadServer() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/client/servers/{server}/websocket", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		// The claims say: issued at 0, ends at 86,400, so nobody renews while being measured.
		fmt.Fprintf(w, `{"data":{"token":"e30.%s.x","socket":"ws://%s/ws/%s"}}`,
			base64.RawURLEncoding.EncodeToString([]byte(`{"iat":0,"exp":86400,"permissions":["*"]}`)), r.Host, r.PathValue("server"))
	})
	mux.HandleFunc("GET /ws/{server}", serveSocket)
	mux.HandleFunc("GET /api/client", serveList)
	return mux
}

// serveList lists servers: as many, and of such a kind, as the key says: live.2000.
func serveList(w http.ResponseWriter, r *http.Request) {
	kind, number, _ := strings.Cut(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), ".")
	total, _ := strconv.Atoi(number)
	page, _ := strconv.Atoi(r.URL.Query().Get("page"))
	type entry struct {
		Attributes map[string]string `json:"attributes"`
	}
	data := []entry{}
	for i := (page - 1) * 100; i < min(page*100, total); i++ {
		name := kind + "-" + strconv.Itoa(i)
		if kind == "mixed" { // the first floods, the others are quiet
			name = "pace-10-" + strconv.Itoa(i)
			if i == 0 {
				name = "pace-" + strconv.Itoa(floodRate) + "-0"
			}
		}
		data = append(data, entry{map[string]string{"identifier": name, "uuid": name, "name": name}})
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{
		"object": "list", "data": data, "meta": map[string]any{"pagination": map[string]int{"total": total}},
	})
}

func serveSocket(w http.ResponseWriter, r *http.Request) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		base64.StdEncoding.EncodeToString(sum[:]))

	in := rw.Reader
	if _, err := readClientFrame(in, nil); err != nil { // auth
		return
	}
	hello := appendFrame(nil, []byte(`{"event":"auth success"}`+"\n"))
	hello = appendFrame(hello, []byte(`{"event":"status","args":["running"]}`+"\n"))
	if _, err := conn.Write(hello); err != nil {
		return
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		for {
			if _, err := readClientFrame(in, conn); err != nil {
				_ = conn.Close()
				return
			}
		}
	}()
	kind, arg, _ := strings.Cut(r.PathValue("server"), "-")
	arg, _, _ = strings.Cut(arg, "-") // behind it stands the number of one of many
	n, _ := strconv.Atoi(arg)
	switch kind {
	case "flood":
		time.Sleep(200 * time.Millisecond) // until the client has settled
		flood(conn, n)
	case "pace":
		time.Sleep(200 * time.Millisecond)
		pace(conn, n, gone)
	case "live":
		live(conn, gone)
	}
	<-gone
}

// flood writes n lines in batches of 64 KiB.
func flood(conn net.Conn, n int) {
	frame := appendFrame(nil, line135)
	per := 64 << 10 / len(frame)
	batch := make([]byte, 0, 64<<10)
	for range per {
		batch = append(batch, frame...)
	}
	for ; n > 0; n -= per {
		if _, err := conn.Write(batch[:min(n, per)*len(frame)]); err != nil {
			return
		}
	}
	_, _ = conn.Write(appendFrame(nil, frameOf(endLine)))
}

// pace writes rate lines a second with the time of their writing, for ever. A sleep is not exact, so it writes what is
// due.
func pace(conn net.Conn, rate int, gone <-chan struct{}) {
	start := time.Now()
	for i := 0; ; i++ {
		select {
		case <-gone:
			return
		default:
		}
		time.Sleep(time.Until(start.Add(time.Duration(i) * time.Second / time.Duration(rate))))
		line := strconv.AppendInt([]byte("at "), time.Now().UnixNano(), 10)
		if _, err := conn.Write(appendFrame(nil, frameOf(string(line)))); err != nil {
			return
		}
	}
}

// live is a quiet server: stats each second, a line every two.
func live(conn net.Conn, gone <-chan struct{}) {
	text, _ := json.Marshal(statsText) // a string
	stats := appendFrame(nil, fmt.Appendf(nil, `{"event":"stats","args":[%s]}`+"\n", text))
	line := appendFrame(nil, line135)
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for i := 0; ; i++ {
		select {
		case <-ticker.C:
		case <-gone:
			return
		}
		out := stats
		if i%2 == 0 {
			out = append(append([]byte(nil), stats...), line...)
		}
		if _, err := conn.Write(out); err != nil {
			return
		}
	}
}

// readClientFrame reads one frame of a client, unmasks it, and answers pings and closes if conn is given.
func readClientFrame(in *bufio.Reader, conn net.Conn) ([]byte, error) {
	var head [2]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return nil, err
	}
	n := int(head[1] & 0x7f)
	if n == 126 {
		var size [2]byte
		if _, err := io.ReadFull(in, size[:]); err != nil {
			return nil, err
		}
		n = int(binary.BigEndian.Uint16(size[:]))
	}
	if n > 1<<16 || head[1]&0x80 == 0 {
		return nil, errors.New("not a client's frame")
	}
	buf := make([]byte, 4+n)
	if _, err := io.ReadFull(in, buf); err != nil {
		return nil, err
	}
	key, payload := buf[:4], buf[4:]
	for i := range payload {
		payload[i] ^= key[i%4]
	}
	const opClose, opPing = 8, 9
	if conn == nil {
		return payload, nil
	}
	switch head[0] & 0xf {
	case opPing:
		_, err := conn.Write(append([]byte{0x8a, byte(len(payload))}, payload...))
		return payload, err
	case opClose:
		_, _ = conn.Write(append([]byte{0x88, byte(len(payload))}, payload...))
		return nil, io.EOF
	}
	return payload, nil
}
