package pterosocket

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"time"
)

// FleetEvent is an event of one server of a fleet, or of the fleet itself.
type FleetEvent struct {
	Server string    // Server.ID, even if the server was named by UUID; "": about the fleet
	Time   time.Time // when the library received it
	Event  Event
}

// ServerAdded reports a new server in the fleet: from the beginning, or by Fleet.Add, Fleet.Restart or a refresh. It is
// the first event of each server.
type ServerAdded struct {
	Server Server `json:"info"`
}

// ServerChanged reports that the panel tells something new about the server: its name, its node, or whether it is
// suspended. A refresh or Fleet.Add finds that out.
type ServerChanged struct {
	Server Server `json:"info"`
}

// ServerRemoved reports that the server has left the fleet or ended for good. It is the last event of each server. It
// does not come when the fleet itself ends. Err is nil if Fleet.Remove was called. If the panel does not know a name in
// FleetConfig.Servers, Server is empty except for ID, which is that name.
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

// MarshalJSON writes the fields as MarshalEvent does.
func (e ServerRemoved) MarshalJSON() ([]byte, error) {
	return json.Marshal(serverRemovedJSON{e.Server, toErrorJSON(e.Err)})
}

// UnmarshalJSON reads what MarshalJSON wrote.
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

// MarshalFleetEvent returns an event like MarshalEvent, with its time and server in front:
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

// UnmarshalFleetEvent returns the event in data, which MarshalFleetEvent has written. It fails like UnmarshalEvent, and
// if there is no time.
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

// OnlyFleet yields the events of type T, of all servers, until the channel is closed. It drops all other events.
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
