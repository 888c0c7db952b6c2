package pterosocket

import (
	"fmt"
	"testing"
)

// What is handed on together leaves room in a queue of any size, and comes out as it went in.
func TestBurst(t *testing.T) {
	for _, size := range []int{1, 8, 64, 100, 8192, 1 << 20} {
		out := newOutlet(size)
		b := burst{most: linesFor(size)}
		n := 0
		for full := false; !full; n++ {
			full = b.add(fmt.Appendf(nil, "%200d", n))
		}
		events := b.lines.take()
		for i, ev := range events {
			if want := fmt.Sprintf("%200d", i); ev != (ConsoleOutput{Line: want}) {
				t.Fatalf("line %d is %v", i, ev)
			}
		}
		out.PushAll(events)
		dropped := out.Dropped()
		out.Discard()
		if dropped > 0 || n > max(1, size/8) || n > maxLines {
			t.Errorf("%d lines at once for a queue of %d, of which %d were dropped", n, size, dropped)
		}
		b.release()
	}
}
