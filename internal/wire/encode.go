package wire

import (
	"bytes"
	"encoding/json"
)

// AppendFrame appends the frame of an event as a client sends it: always with "args", nothing escaped beyond JSON's
// need (so that "<" stays one byte of a daemon's 4,096), and without a line feed at its end. Invalid UTF-8 becomes
// U+FFFD.
func AppendFrame(dst []byte, event string, args ...string) []byte {
	if args == nil {
		args = []string{}
	}
	buf := bytes.NewBuffer(dst)
	enc := json.NewEncoder(buf)
	enc.SetEscapeHTML(false)
	// A struct of strings cannot fail to encode.
	_ = enc.Encode(struct {
		Event string   `json:"event"`
		Args  []string `json:"args"`
	}{event, args})
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")) // which Encode appends
}

// AppendDaemonFrame appends the frame of an event as a daemon sends it: "args" only if there are any, "<", ">" and "&"
// escaped, and a line feed at the end. The daemons use encoding/json, and so does this.
func AppendDaemonFrame(dst []byte, event string, args ...string) []byte {
	buf := bytes.NewBuffer(dst)
	_ = json.NewEncoder(buf).Encode(struct {
		Event string   `json:"event"`
		Args  []string `json:"args,omitempty"`
	}{event, args})
	return buf.Bytes()
}
