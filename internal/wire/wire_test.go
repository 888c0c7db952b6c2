package wire

import (
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// What the daemons sent must not only be decoded rightly, but without help from encoding/json.
func TestRecordedFramesTakeTheFastPath(t *testing.T) {
	frames := everyFrame(t)
	if len(frames) < 1000 {
		t.Fatalf("only %d recorded frames", len(frames))
	}
	var d Decoder
	for _, frame := range frames {
		checkFrame(t, []byte(frame))
		if !d.decodeFast([]byte(frame)) {
			t.Errorf("not decoded in the fast path: %.200q", frame)
		}
		if d.frame.Event != Stats {
			continue
		}
		var p StatsPayload
		if !decodeStatsFast(d.frame.Arg(0), &p) {
			t.Errorf("stats not decoded in the fast path: %q", d.frame.Arg(0))
		}
	}
}

func TestDecodeBoundsItsScratch(t *testing.T) {
	var d Decoder
	line := strings.Repeat(`\u001b[31m`, 64<<10)
	frame, err := d.Decode([]byte(`{"event":"console output","args":["` + line + `"]}`))
	if err != nil || len(frame.Arg(0)) != 5*64<<10 {
		t.Fatalf("a long line: %d bytes, %v", len(frame.Arg(0)), err)
	}
	if cap(d.scratch) > keepScratch {
		t.Errorf("the decoder keeps %d bytes", cap(d.scratch))
	}
}

func TestAppendFrameKeepsAngleBracketsShort(t *testing.T) {
	if got, want := string(AppendFrame(nil, SendCommand, "say <&>")), `{"event":"send command","args":["say <&>"]}`; got != want {
		t.Errorf("AppendFrame = %s, want %s", got, want)
	}
	if got, want := string(AppendFrame(nil, "x")), `{"event":"x","args":[]}`; got != want {
		t.Errorf("AppendFrame = %s, want %s", got, want)
	}
}

const (
	plainLine   = `{"event":"console output","args":["[12:34:56] [Server thread/INFO]: Steve joined the game, welcome back to the world"]}` + "\n"
	colouredOne = `{"event":"console output","args":["\u001b[32m[12:34:56] [Server thread/INFO]\u001b[0m: \u003cSteve\u003e hello"]}` + "\n"
)

// One allocation for the line's text; what boxes it as an event is not the decoder's.
func TestDecodeAllocatesTheTextOnly(t *testing.T) {
	for _, frame := range []string{plainLine, colouredOne} {
		var d Decoder
		data := []byte(frame)
		if n := testing.AllocsPerRun(100, func() { _, _ = d.Decode(data) }); n > 1 {
			t.Errorf("Decode(%q) allocates %v times, want 1", frame, n)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	for name, frame := range map[string]string{"plain": plainLine, "coloured": colouredOne} {
		b.Run(name, func(b *testing.B) {
			var d Decoder
			data := []byte(frame)
			b.ReportAllocs()
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				if _, err := d.Decode(data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
