package wire

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pterosocket/pterosocket-go/internal/recorded"
)

// oracle decodes a frame with nothing but encoding/json.
func oracle(data []byte) (Frame, bool) {
	var f struct {
		Event string            `json:"event"`
		Args  []json.RawMessage `json:"args"`
	}
	if json.Unmarshal(data, &f) != nil || f.Event == "" {
		return Frame{}, false
	}
	out := Frame{Event: f.Event}
	for _, raw := range f.Args {
		var v any
		if err := json.Unmarshal(raw, &v); err != nil {
			return Frame{}, false
		}
		switch v := v.(type) {
		case string:
			out.Args = append(out.Args, v)
		case nil:
			out.Args = append(out.Args, "")
		default:
			out.Args = append(out.Args, string(raw))
		}
	}
	return out, true
}

func checkFrame(t *testing.T, data []byte) {
	t.Helper()
	want, ok := oracle(data)
	var d Decoder
	for range 2 { // the second time with a scratch buffer in use
		if line, isLine := d.Line(data); isLine && (!ok || want.Event != ConsoleOutput || len(want.Args) != 1 || want.Args[0] != string(line)) {
			t.Fatalf("Line(%q) = %q, encoding/json: %+v, %v", data, line, want, ok)
		}
		got, err := d.Decode(data)
		if (err == nil) != ok {
			t.Fatalf("Decode(%q) error = %v, encoding/json accepts: %v", data, err, ok)
		}
		if err != nil {
			return
		}
		if diff := cmp.Diff(want, *got, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("Decode(%q) (-encoding/json +Decode)\n%s", data, diff)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, frame := range everyFrame(f) {
		f.Add([]byte(frame))
	}
	for _, s := range []string{
		`{"event":"x","args":["\ud83d\ude00 \ud83d \ude00 \ud83dx \ud83d\u0041"]}`,
		`{"event":"x","args":["` + "\xff\xc3(\xed\xa0\x80 héllo" + `"]}`,
		`{"args":["a"],"event":"x"}`, `{"event":"x","args":null}`, `{"event":"x","args":[]}`, `{"event":"x"}`,
		`{"event":"x","args":[1,null,{"a":[]},"b",true]}`, `{"EVENT":"x","Args":["a"]}`, `{"event":"x","event":"y"}`,
		` { "event" : "x" , "args" : [ "a" ] } `, `{"event":"x","args":["a"],"id":7}`, `{"event":"x","args":["a",]}`,
		`{}`, `[]`, `null`, `"x"`, `{"event":5}`, `{"event":"x","args":"a"}`, `{"event":"x","args":["a"]} trailing`,
		"{\"event\":\"x\",\"args\":[\"a\nb\"]}", `{"event":"x","args":["\q"]}`, `{"event":"x","args":["\u12"]}`, `{"event":"x","args":["`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(checkFrame)
}

func FuzzDecodeStats(f *testing.F) {
	var d Decoder
	for _, frame := range everyFrame(f) {
		if fr, err := d.Decode([]byte(frame)); err == nil && fr.Event == Stats {
			f.Add(fr.Arg(0))
		}
	}
	for _, s := range []string{
		`running`, `null`, `true`, `{}`, `{"state":"a b"}`, `{"uptime":1.5}`, `{"uptime":-1}`, `{"memory_bytes":-1}`, `{"cpu_absolute":1e400}`,
		`{"cpu_absolute":01}`, `{"cpu_absolute":1.}`, `{"network":null}`, `{"network":{}}`, `{"disk_io":{"read_bytes":1},"disk_io":{"write_bytes":2}}`,
		`{"Uptime":5}`, `{"uptime":5,}`, `{"uptime":5}x`, `{ "uptime":5}`, `{"memory_bytes":18446744073709551616}`, `{"new":[1,{"a":2}],"uptime":5}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var got, want StatsPayload
		err := DecodeStats(text, &got)
		wantErr := json.Unmarshal([]byte(text), &want)
		if isWord(text) {
			wantErr, want = nil, StatsPayload{State: text}
		}
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("DecodeStats(%q) = %v, encoding/json: %v", text, err, wantErr)
		}
		if err == nil && !cmp.Equal(got, want) {
			t.Fatalf("DecodeStats(%q) (-encoding/json +DecodeStats)\n%s", text, cmp.Diff(want, got))
		}
	})
}

// FuzzRoundTrip encodes in both directions and reads back what was said.
func FuzzRoundTrip(f *testing.F) {
	f.Add("send command", "say <hi> & \x1b[1m\u2028")
	f.Add("x", "\xff\x00\"\\")
	f.Fuzz(func(t *testing.T, event, arg string) {
		if event == "" {
			return
		}
		clean := func(s string) string {
			return strings.ToValidUTF8(strings.Map(func(r rune) rune { return r }, s), string(utf8.RuneError))
		}
		for _, frame := range [][]byte{AppendFrame(nil, event, arg), AppendDaemonFrame(nil, event, arg)} {
			var d Decoder
			got, err := d.Decode(frame)
			if err != nil {
				t.Fatalf("Decode(%q): %v", frame, err)
			}
			if want := (Frame{Event: clean(event), Args: []string{clean(arg)}}); !cmp.Equal(want, *got) {
				t.Fatalf("%q came back as %+v, want %+v", frame, *got, want)
			}
		}
	})
}

// everyFrame returns every frame of a daemon in testdata.
func everyFrame(tb testing.TB) (all []string) {
	tb.Helper()
	for _, frames := range recorded.Frames(tb, "*/*.jsonl") {
		all = append(all, frames...)
	}
	return all
}
