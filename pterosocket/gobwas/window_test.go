package gobwas

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
)

// chunked is a stream on which one chunk comes a Read, the last one together with the error.
type chunked struct {
	chunks [][]byte
	err    error
	onRead func()
}

func (c *chunked) Read(p []byte) (int, error) {
	if c.onRead != nil {
		c.onRead()
	}
	if len(c.chunks) == 0 {
		return 0, c.err
	}
	n := copy(p, c.chunks[0])
	if c.chunks[0] = c.chunks[0][n:]; len(c.chunks[0]) > 0 {
		return n, nil
	}
	if c.chunks = c.chunks[1:]; len(c.chunks) == 0 {
		return n, c.err
	}
	return n, nil
}

// Everything comes out once and in order, however it arrives and is asked for, also what comes together with an error,
// as from a TLS connection that says goodbye.
func TestWindow(t *testing.T) {
	for seed := range uint64(500) {
		random := rand.New(rand.NewPCG(seed, 1))
		var want []byte
		source := &chunked{err: io.EOF}
		for range 1 + random.IntN(6) {
			chunk := make([]byte, 1+random.IntN([]int{10, ownSize + 1, 3 * burstSize}[random.IntN(3)]))
			for i := range chunk {
				chunk[i] = byte(random.Uint32())
			}
			source.chunks = append(source.chunks, chunk)
			want = append(want, chunk...)
		}
		waits := 0
		w := window{stream: source, onWait: func() { waits++ }}
		reads := 0
		source.onRead = func() {
			if reads++; reads != waits {
				t.Fatalf("seed %d: read %d times, and told %d times", seed, reads, waits)
			}
		}
		var got []byte
		for len(got) < len(want) {
			most := min(len(want)-len(got), []int{14, ownSize, burstSize}[random.IntN(3)])
			var (
				piece []byte
				err   error
			)
			if n := 1 + random.IntN(most); random.IntN(2) == 0 {
				piece, err = w.take(n)
			} else {
				piece = make([]byte, n)
				n, err = w.Read(piece)
				piece = piece[:n]
			}
			if err != nil {
				t.Fatalf("seed %d: %v after %d bytes of %d", seed, err, len(got), len(want))
			}
			got = append(got, piece...)
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("seed %d: other bytes came out than went in", seed)
		}
		for range 2 {
			if _, err := w.take(1); !errors.Is(err, io.EOF) || w.burst != nil {
				t.Fatalf("seed %d: at the end: %v, %v", seed, err, w.burst != nil)
			}
		}
	}
}

// A large buffer is borrowed while much comes, and given back before a wait that may be long.
func TestWindowIsSmallWhenIdle(t *testing.T) {
	source := &chunked{err: io.EOF, chunks: [][]byte{
		make([]byte, 100), make([]byte, 2*ownSize), make([]byte, 2*burstSize), make([]byte, 10), make([]byte, 10),
	}}
	w := window{stream: source}
	var large []bool
	w.onWait = func() { large = append(large, w.burst != nil) }
	for w.err == nil {
		_, _ = w.take(1)
	}
	// 100; half of twice its own size, and the rest; a first part of 65,536, 32,768 more, and the rest; 10; 10.
	if want := []bool{false, false, true, false, true, true, false, false}; !slices.Equal(large, want) {
		t.Errorf("waited with a large buffer: %v, want %v", large, want)
	}
}
