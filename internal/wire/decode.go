package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// Frame is a decoded frame. Args is nil when the frame has none.
type Frame struct {
	Event string
	Args  []string
}

// Arg returns the i-th argument, or "" when there are fewer.
func (f *Frame) Arg(i int) string {
	if i < len(f.Args) {
		return f.Args[i]
	}
	return ""
}

// keepScratch bounds what a Decoder holds on to between frames.
const keepScratch = 4 << 10

// A Decoder decodes frames. The zero value is ready. It is not safe for concurrent use.
type Decoder struct {
	frame   Frame
	args    [4]string // the backing of frame.Args, so that the usual frame costs no slice
	scratch []byte    // unescaped text on its way to a string
}

// Decode decodes one frame. The result and its Args are valid until the next call; the strings in it stay valid.
//
// Arguments are strings on the wire. Should a daemon ever send another JSON value as one, its text is handed on as it
// stands, and null as "". Decode accepts whatever encoding/json accepts as such an object, with the same values.
func (d *Decoder) Decode(data []byte) (*Frame, error) {
	if !d.decodeFast(data) {
		if err := d.decodeSlow(data); err != nil {
			return nil, err
		}
	}
	if d.frame.Event == "" {
		return nil, errors.New(`the frame has no "event"`)
	}
	return &d.frame, nil
}

// decodeFast decodes the shape {"event":"...","args":["...",...]}, args and a line feed behind it optional. It reports
// false, with the frame in any state, for everything else, valid or not.
func (d *Decoder) decodeFast(data []byte) bool {
	text, rest, ok := d.text(bytes.TrimSuffix(data, []byte("\n")), `{"event":"`)
	if !ok {
		return false
	}
	d.frame = Frame{Event: intern(text)}
	if string(rest) == "}" {
		return true
	}
	d.frame.Args = d.args[:0]
	for text, rest, ok = d.text(rest, `,"args":["`); ok; text, rest, ok = d.text(rest, `,"`) {
		d.frame.Args = append(d.frame.Args, string(text))
		if string(rest) == "]}" {
			return true
		}
	}
	return false
}

// Line returns the text of a frame that is a console line just as daemons send it, which nearly all frames are. For
// every other, valid or not, a console line among them, it reports false, and Decode is to be asked. The text is valid
// until the next call.
func (d *Decoder) Line(data []byte) (text []byte, ok bool) {
	text, rest, ok := d.text(data, `{"event":"`+ConsoleOutput+`","args":["`)
	return text, ok && string(rest) == "]}\n"
}

// decodeSlow leaves the frame to encoding/json.
func (d *Decoder) decodeSlow(data []byte) error {
	var f struct {
		Event string            `json:"event"`
		Args  []json.RawMessage `json:"args"`
	}
	if err := json.Unmarshal(data, &f); err != nil {
		return fmt.Errorf("malformed frame: %w", err)
	}
	d.frame = Frame{Event: f.Event}
	if f.Args == nil {
		return nil
	}
	d.frame.Args = make([]string, len(f.Args))
	for i, raw := range f.Args {
		if json.Unmarshal(raw, &d.frame.Args[i]) != nil {
			d.frame.Args[i] = string(raw)
		}
	}
	return nil
}
