package pterosocket

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"time"
)

// FleetEvent is an event of one of a fleet's servers.
type FleetEvent struct {
	Server string    // Server.ID, whatever the server was named by; "": it concerns the fleet
	Time   time.Time // when it was received
	Event  Event
}

// ServerAdded: the fleet has a new server, from the beginning or by Fleet.Add, Fleet.Restart or a refresh. It is the
// first event of each.
type ServerAdded struct {
	Server Server `json:"info"`
}

// ServerChanged: a refresh shows that something of the server is not what it was: its name, its node, or whether it is
// suspended.
type ServerChanged struct {
	Server Server `json:"info"`
}

// ServerRemoved: the server has left the fleet. It is the last event of each but at the fleet's own end. Err is nil when
// Fleet.Remove was called. For a name in FleetConfig.Servers that the panel does not know, Server is empty but for ID,
// the name as it was given.
type ServerRemoved struct {
	Server Server
	Err    error
}

func (ServerAdded) Name() string   { return "server_added" }
func (ServerChanged) Name() string { return "server_changed" }
func (ServerRemoved) Name() string { return "server_removed" }

func (ServerAdded) sealed()   {}
func (ServerChanged) sealed() {}
func (ServerRemoved) sealed() {}

type serverRemovedJSON struct {
	Server Server     `json:"info"`
	Err    *errorJSON `json:"error,omitempty"`
}

// MarshalJSON writes the fields of MarshalEvent.
func (e ServerRemoved) MarshalJSON() ([]byte, error) {
	return json.Marshal(serverRemovedJSON{e.Server, toErrorJSON(e.Err)})
}

// UnmarshalJSON reads what MarshalJSON has written.
func (e *ServerRemoved) UnmarshalJSON(data []byte) error {
	var j serverRemovedJSON
	err := json.Unmarshal(data, &j)
	*e = ServerRemoved{j.Server, j.Err.toError()}
	return err
}

type fleetHead struct {
	Time   time.Time `json:"time"`
	Server string    `json:"server"`
}

// MarshalFleetEvent returns an event as MarshalEvent does, with its time and server before the rest:
//
//	{"time":"2026-01-02T03:04:05.6Z","server":"a1b2c3d4","event":"console_output","line":"hello"}
func MarshalFleetEvent(ev FleetEvent) ([]byte, error) {
	event, err := MarshalEvent(ev.Event)
	if err != nil {
		return nil, err
	}
	head, err := json.Marshal(fleetHead{ev.Time, ev.Server})
	if err != nil {
		return nil, fmt.Errorf("MarshalFleetEvent: %w", err)
	}
	head[len(head)-1] = ','
	return append(head, event[1:]...), nil
}

// UnmarshalFleetEvent returns the event that data holds, which MarshalFleetEvent has written. It fails as
// UnmarshalEvent does, and when there is no time.
func UnmarshalFleetEvent(data []byte) (FleetEvent, error) {
	var head fleetHead
	if err := json.Unmarshal(data, &head); err != nil {
		return FleetEvent{}, fmt.Errorf("UnmarshalFleetEvent: %w", err)
	}
	if head.Time.IsZero() {
		return FleetEvent{}, errors.New(`UnmarshalFleetEvent: the object has no "time"`)
	}
	ev, err := UnmarshalEvent(data)
	return FleetEvent{head.Server, head.Time, ev}, err
}

// OnlyFleet yields the events of one type, of all servers, until the channel is closed.
//
//	for ev, line := range pterosocket.OnlyFleet[pterosocket.ConsoleOutput](events) {
//		fmt.Println(ev.Server, line.Plain())
//	}
func OnlyFleet[T Event](events <-chan FleetEvent) iter.Seq2[FleetEvent, T] {
	return func(yield func(FleetEvent, T) bool) {
		for ev := range events {
			if v, ok := ev.Event.(T); ok && !yield(ev, v) {
				return
			}
		}
	}
}
