package pterosocket

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"math"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// sameErrors compares errors as UnmarshalEvent restores them: by their text and by what errors.Is finds.
var sameErrors = cmp.Comparer(func(a, b error) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	for _, known := range errorNames {
		if errors.Is(a, known) != errors.Is(b, known) {
			return false
		}
	}
	return a.Error() == b.Error()
})

// fill gives every field of a value something.
func fill(r *rand.Rand, v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(r, v.Field(i))
		}
	case reflect.String:
		texts := []string{"", "hello", "\x1b[31mred\x1b[0m", `"quoted" \ <b>&`, "žluťoučký \u2028 \r\n", "\x00\x01\x7f\u0085"}
		v.SetString(texts[r.IntN(len(texts))])
	case reflect.Bool:
		v.SetBool(r.IntN(2) == 0)
	case reflect.Int, reflect.Int64:
		v.SetInt([]int64{0, 1, -1, math.MaxInt64, math.MinInt64, r.Int64()}[r.IntN(6)])
	case reflect.Uint64:
		v.SetUint([]uint64{0, 1, math.MaxUint64, r.Uint64()}[r.IntN(4)])
	case reflect.Float64:
		v.SetFloat([]float64{0, 1.1, -0.1, math.MaxFloat64, math.SmallestNonzeroFloat64, r.ExpFloat64()}[r.IntN(6)])
	case reflect.Slice:
		if n := r.IntN(4); n > 0 {
			v.Set(reflect.MakeSlice(v.Type(), n-1, n-1))
		}
		for i := range v.Len() {
			fill(r, v.Index(i))
		}
	case reflect.Pointer:
		if r.IntN(2) == 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(r, v.Elem())
		}
	case reflect.Interface: // an error
		errs := []error{nil, errors.New("plain"), ErrNotConnected, &PanelError{StatusCode: 429}, &CloseError{Code: 4409}, errors.New(""),
			fmt.Errorf("%w: %w", ErrInterrupted, context.DeadlineExceeded), &authRefused{"jwt: server uuid mismatch"}}
		if err := errs[r.IntN(len(errs))]; err != nil {
			v.Set(reflect.ValueOf(err))
		}
	default:
		panic("no value for a " + v.Type().String())
	}
}

// Every event goes into JSON and back unchanged, on one line.
func TestEventsAsJSON(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, zero := range append(eventTypes, Unknown{}) {
		t.Run(fmt.Sprintf("%T", zero), func(t *testing.T) {
			for range 200 {
				v := reflect.New(reflect.TypeOf(zero)).Elem()
				fill(r, v)
				want := v.Interface().(Event)
				data, err := MarshalEvent(want)
				if err != nil {
					t.Fatalf("%+v: %v", want, err)
				}
				if strings.ContainsAny(string(data), "\n\r") || !json.Valid(data) {
					t.Fatalf("%q", data)
				}
				got, err := UnmarshalEvent(data)
				if err != nil {
					t.Fatalf("%s: %v", data, err)
				}
				if diff := cmp.Diff(want, got, sameErrors); diff != "" {
					t.Fatalf("%s\n%s", data, diff)
				}
			}
		})
	}
}

// Their form is a promise: other programs read it.
func TestFormOfEventsInJSON(t *testing.T) {
	for _, test := range []struct {
		ev   Event
		want string
	}{
		{ConsoleOutput{Line: "hello"}, `{"event":"console_output","line":"hello"}`},
		{ConsoleOutput{Line: "a\xffb", Replayed: true}, `{"event":"console_output","line":"a\ufffdb","replayed":true}`},
		{Gap{}, `{"event":"gap"}`},
		{Unknown{Event: "new thing", Args: []string{"1"}}, `{"event":"unknown","daemon_event":"new thing","args":["1"]}`},
		{Close{Code: 1006, Err: ErrNotConnected, RetryIn: time.Second},
			`{"event":"close","code":1006,"reason":"","error":{"text":"not sent: not connected; wait with Ready","is":["ErrNotConnected","ErrNotSent"]},` +
				`"final":false,"retry_in":1000000000}`},
		{Error{Err: errors.New("x")}, `{"event":"error","error":{"text":"x"}}`},
		{Stats{MemoryBytes: 1, CPUAbsolute: 1.5, Uptime: time.Second, State: StateRunning},
			`{"event":"stats","memory_bytes":1,"memory_limit_bytes":0,"cpu_absolute":1.5,"network":{"rx_bytes":0,"tx_bytes":0},` +
				`"uptime":1000000000,"state":"running","disk_bytes":0}`},
	} {
		if data, err := MarshalEvent(test.ev); err != nil || string(data) != test.want {
			t.Errorf("%s, %v\nwant %s", data, err, test.want)
		}
	}
}

func TestWhatIsNoEventInJSON(t *testing.T) {
	for _, text := range []string{"", "{", "[]", "null", `"gap"`, "{}", `{"event":1}`, `{"event":"new_thing"}`, `{"event":"console_output","line":1}`,
		`{"event":"stats","uptime":1e100}`, `{"event":"lagged","dropped":9223372036854775808}`} {
		if ev, err := UnmarshalEvent([]byte(text)); err == nil {
			t.Errorf("%s is %#v", text, ev)
		}
	}
	for _, ev := range []Event{nil, Stats{CPUAbsolute: math.NaN()}, Stats{CPUAbsolute: math.Inf(1)}} {
		if data, err := MarshalEvent(ev); err == nil {
			t.Errorf("%#v is %s", ev, data)
		}
	}
}

// Every type that is an Event, and every exported error, is known to the JSON.
func TestJSONKnowsEverything(t *testing.T) {
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	known := make(map[string]bool)
	for _, typ := range eventsByName {
		known[typ.Name()] = true
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				if d.Name.Name == "sealed" {
					if name := d.Recv.List[0].Type.(*ast.Ident).Name; !known[name] {
						t.Errorf("%s is not in eventTypes", name)
					}
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					value, ok := spec.(*ast.ValueSpec)
					if !ok || d.Tok != token.VAR || !strings.HasPrefix(value.Names[0].Name, "Err") {
						continue
					}
					if name := value.Names[0].Name; errorNames[name] == nil {
						t.Errorf("%s is not in errorNames", name)
					}
				}
			}
		}
	}
}

// FuzzUnmarshalEvent: what can be read is the same event when it has been written and read again, and what encoding/json
// does not take for an object with an "event" is none.
func FuzzUnmarshalEvent(f *testing.F) {
	for _, text := range []string{
		`{"event":"console_output","line":"hello","replayed":true}`, `{"event":"gap","server":"a","time":"2026-01-02T03:04:05Z"}`,
		`{"event":"close","code":1006,"error":{"text":"x","is":["ErrClosed","nobody"]},"final":true,"retry_in":5,"dropped":3}`,
		`{"event":"stats","cpu_absolute":1e3,"network":{"rx_bytes":18446744073709551615},"disk_io":{}}`,
		`{"event":"unknown","daemon_event":"x y","args":null}`, `{"event":"backup_progress","uuid":"u","done":1,"total":2,"args":[]}`, `{"EVENT":"gap"}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		ev, err := UnmarshalEvent(data)
		if err != nil {
			return
		}
		var object map[string]any
		if json.Unmarshal(data, &object) != nil || object == nil {
			t.Fatalf("%q is no JSON object, but %#v", data, ev)
		}
		again, err := MarshalEvent(ev)
		if err != nil {
			t.Fatalf("%q is %#v: %v", data, ev, err)
		}
		back, err := UnmarshalEvent(again)
		if err != nil {
			t.Fatalf("%q became %q: %v", data, again, err)
		}
		if diff := cmp.Diff(ev, back, sameErrors); diff != "" {
			t.Fatalf("%q became %q\n%s", data, again, diff)
		}
	})
}

// A fleet's events have their server and time besides.
func TestFleetEventsAsJSON(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 600_000_000, time.UTC)
	for _, test := range []struct {
		ev   FleetEvent
		want string
	}{
		{FleetEvent{"a1b2c3d4", now, ConsoleOutput{Line: "hello"}},
			`{"time":"2026-01-02T03:04:05.6Z","server":"a1b2c3d4","event":"console_output","line":"hello"}`},
		{FleetEvent{"", now, Gap{}}, `{"time":"2026-01-02T03:04:05.6Z","server":"","event":"gap"}`},
		{FleetEvent{"x", now, ServerRemoved{Server{ID: "x", Limits: ServerLimits{SwapMiB: -1}}, ErrServerNotFound}},
			`{"time":"2026-01-02T03:04:05.6Z","server":"x","event":"server_removed","info":{"id":"x","uuid":"","name":"","node":"","description":"",` +
				`"status":"","owner":false,"suspended":false,"installing":false,"transferring":false,` +
				`"limits":{"memory_mib":0,"swap_mib":-1,"disk_mib":0,"cpu_percent":0}},"error":{"text":"server not found","is":["ErrServerNotFound"]}}`},
	} {
		data, err := MarshalFleetEvent(test.ev)
		if err != nil || string(data) != test.want {
			t.Errorf("%s, %v\nwant %s", data, err, test.want)
		}
		back, err := UnmarshalFleetEvent(data)
		if err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(test.ev, back, sameErrors); diff != "" {
			t.Error(diff)
		}
	}
	for _, text := range []string{"", `{"event":"gap","server":"x"}`, `{"time":"now","event":"gap"}`, `{"time":"2026-01-02T03:04:05Z","server":"x"}`} {
		if ev, err := UnmarshalFleetEvent([]byte(text)); err == nil {
			t.Errorf("%s is %#v", text, ev)
		}
	}
	if data, err := MarshalFleetEvent(FleetEvent{Time: now}); err == nil {
		t.Errorf("no event is %s", data)
	}
}
