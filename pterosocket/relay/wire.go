package relay

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/pterosocket/pterosocket-go/pterosocket"
)

// What a request asks for.
const (
	opWrite   = "write"
	opRun     = "run"
	opHistory = "history"
	opPower   = "power"
	opAwait   = "await_state"
	opState   = "state"
)

// A request is sent to the owner of a server. Answers are replies: any number without Done, and a last one with it.
type request struct {
	Op string `json:"op"`
	// AcceptBy is when the caller no longer believes that anybody has got the request. Who gets it later does nothing.
	AcceptBy time.Time `json:"accept_by"`
	// Deadline is when the caller's context ends. Nothing is sent to a daemon later than that. Zero: it does not end.
	Deadline time.Time               `json:"deadline,omitzero"`
	Caller   string                  `json:"caller,omitempty"` // a subject where the caller says every second that it is there
	Event    string                  `json:"event,omitempty"`
	Args     []string                `json:"args,omitempty"`
	Command  string                  `json:"command,omitempty"`
	Idle     time.Duration           `json:"idle,omitempty"`
	MaxLines int                     `json:"max_lines,omitempty"`
	Action   pterosocket.PowerAction `json:"action,omitempty"`
	States   []pterosocket.State     `json:"states,omitempty"`
}

// A reply is a part of an answer. An empty one says that the relay is at work.
type reply struct {
	Lines []string          `json:"lines,omitempty"`
	State pterosocket.State `json:"state,omitempty"`
	Done  bool              `json:"done,omitempty"`
	Error json.RawMessage   `json:"error,omitempty"`
}

const (
	// silence is how long a caller waits for the first sign that its request has arrived, and for the next later on.
	silence = 5 * time.Second
	// keepalive is how often a relay says that it is at work, and a caller that it waits.
	keepalive = time.Second
	// callerGone is what a caller says when it no longer waits.
	callerGone = "gone"
)

// errorToJSON returns an error as an Error event, which keeps what errors.Is finds.
func errorToJSON(err error) json.RawMessage {
	if err == nil {
		return nil
	}
	data, _ := pterosocket.MarshalEvent(pterosocket.Error{Err: err}) // it holds text only
	return data
}

func errorFromJSON(data json.RawMessage) error {
	if len(data) == 0 {
		return nil
	}
	ev, err := pterosocket.UnmarshalEvent(data)
	if err != nil {
		return err
	}
	if e, ok := ev.(pterosocket.Error); ok && e.Err != nil {
		return e.Err
	}
	return errors.New("the relay's answer has an error without text")
}
