package pterosocket

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"
)

// eventTypes holds a zero value of every event type except Unknown, which has a name of its own in JSON.
var eventTypes = []Event{
	Start{}, Close{}, Error{}, AuthSuccess{}, TokenExpiring{}, TokenExpired{}, JWTError{}, Throttled{}, Lagged{}, Gap{},
	Status{}, Stats{}, ConsoleOutput{}, DaemonMessage{}, DaemonError{}, InstallStarted{}, InstallOutput{}, InstallCompleted{},
	BackupCompleted{}, BackupRestoreCompleted{}, TransferStatus{}, TransferLogs{}, Deleted{}, FeatureMatch{},
	InstallProgress{}, ImagePullProgress{}, ImagePullCompleted{}, BackupStarted{}, BackupProgress{}, BackupDeleted{},
	BackupRestoreStarted{}, BackupRestoreProgress{}, TransferProgress{}, ScheduleStarted{}, ScheduleStepStatus{},
	ScheduleStepError{}, ScheduleCompleted{}, OperationProgress{}, OperationError{}, OperationCompleted{},
	ServerAdded{}, ServerChanged{}, ServerRemoved{},
}

const unknownName = "unknown"

// eventsByName maps an event's name in JSON to its type.
var eventsByName = func() map[string]reflect.Type {
	types := map[string]reflect.Type{unknownName: reflect.TypeFor[Unknown]()}
	for _, ev := range eventTypes {
		types[ev.Name()] = reflect.TypeOf(ev)
	}
	return types
}()

// MarshalEvent returns an event as one JSON object on one line, such as
//
//	{"event":"console_output","line":"hello"}
//
// UnmarshalEvent turns it into the same event again. Durations are in nanoseconds, integers are exact, and invalid
// UTF-8 becomes U+FFFD. An error becomes its text and a list of names: the Err variables of this package and the errors
// of package context for which errors.Is holds. What errors.As would find is lost. An Unknown becomes
//
//	{"event":"unknown","daemon_event":"...","args":["..."]}
//
// MarshalEvent fails for nil and for numbers that JSON does not have (NaN and infinities in Stats.CPUAbsolute).
func MarshalEvent(ev Event) ([]byte, error) {
	if ev == nil {
		return nil, errors.New("MarshalEvent: no event")
	}
	name := ev.Name()
	if _, ok := ev.(Unknown); ok {
		name = unknownName
	}
	fields, err := json.Marshal(ev)
	if err != nil {
		return nil, fmt.Errorf("MarshalEvent: %s: %w", name, err)
	}
	out := append(make([]byte, 0, len(name)+len(fields)+len(`{"event":"",`)), `{"event":"`...)
	out = append(append(out, name...), '"')
	if len(fields) > len("{}") {
		out = append(out, ',')
	}
	return append(out, fields[1:]...), nil
}

// UnmarshalEvent returns the event in data, which MarshalEvent has written. It ignores fields that the event does not
// have. It fails if data is not a JSON object, if data names no event or one that this version does not have, or if a
// field has the wrong type.
func UnmarshalEvent(data []byte) (Event, error) {
	var head struct {
		Event *string `json:"event"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return nil, fmt.Errorf("UnmarshalEvent: %w", err)
	}
	if head.Event == nil {
		return nil, errors.New(`UnmarshalEvent: the object has no "event"`)
	}
	typ, ok := eventsByName[*head.Event]
	if !ok {
		return nil, fmt.Errorf("UnmarshalEvent: unknown event %q; it was written by another version, perhaps", printable(*head.Event, 64))
	}
	ev := reflect.New(typ)
	if err := json.Unmarshal(data, ev.Interface()); err != nil {
		return nil, fmt.Errorf("UnmarshalEvent: %s: %w", *head.Event, err)
	}
	return ev.Elem().Interface().(Event), nil
}

// errorNames are the errors that errors.Is still finds after unmarshalling.
var errorNames = map[string]error{
	"ErrNotSent": ErrNotSent, "ErrUncertain": ErrUncertain, "ErrNotConnected": ErrNotConnected, "ErrPermission": ErrPermission,
	"ErrServerOffline": ErrServerOffline, "ErrInvalidCommand": ErrInvalidCommand, "ErrQueueFull": ErrQueueFull,
	"ErrInvalidPowerAction": ErrInvalidPowerAction, "ErrInterrupted": ErrInterrupted, "ErrPowerRefused": ErrPowerRefused,
	"ErrEventsDropped": ErrEventsDropped, "ErrInvalidConfig": ErrInvalidConfig, "ErrUnauthorized": ErrUnauthorized,
	"ErrForbidden": ErrForbidden, "ErrServerNotFound": ErrServerNotFound, "ErrConflict": ErrConflict,
	"ErrRateLimited": ErrRateLimited, "ErrOriginRejected": ErrOriginRejected, "ErrTooManyConnections": ErrTooManyConnections,
	"ErrInsecureSocket": ErrInsecureSocket, "ErrAuthRejected": ErrAuthRejected, "ErrClosed": ErrClosed,
	"ErrFrameTooLong": ErrFrameTooLong, "ErrSkipServer": ErrSkipServer,
	"context.Canceled": context.Canceled, "context.DeadlineExceeded": context.DeadlineExceeded,
}

// errorJSON is an error in JSON. A nil pointer means no error.
type errorJSON struct {
	Text string   `json:"text"`
	Is   []string `json:"is,omitempty"`
}

func toErrorJSON(err error) *errorJSON {
	if err == nil {
		return nil
	}
	e := &errorJSON{Text: err.Error()}
	for _, name := range slices.Sorted(maps.Keys(errorNames)) {
		if errors.Is(err, errorNames[name]) {
			e.Is = append(e.Is, name)
		}
	}
	return e
}

func (e *errorJSON) toError() error {
	if e == nil {
		return nil
	}
	return &errorFromJSON{*e}
}

// errorFromJSON is an error that was read from JSON.
type errorFromJSON struct{ errorJSON }

func (e *errorFromJSON) Error() string { return e.Text }

func (e *errorFromJSON) Is(target error) bool {
	return slices.ContainsFunc(e.errorJSON.Is, func(name string) bool { return errorNames[name] == target })
}

type closeJSON struct {
	Code    int           `json:"code"`
	Reason  string        `json:"reason"`
	Err     *errorJSON    `json:"error,omitempty"`
	Final   bool          `json:"final"`
	RetryIn time.Duration `json:"retry_in,omitempty"`
	Dropped int           `json:"dropped,omitempty"`
}

// MarshalJSON writes the fields as MarshalEvent does.
func (e Close) MarshalJSON() ([]byte, error) {
	return json.Marshal(closeJSON{e.Code, e.Reason, toErrorJSON(e.Err), e.Final, e.RetryIn, e.Dropped})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (e *Close) UnmarshalJSON(data []byte) error {
	var c closeJSON
	err := json.Unmarshal(data, &c)
	*e = Close{c.Code, c.Reason, c.Err.toError(), c.Final, c.RetryIn, c.Dropped}
	return err
}

type errorEventJSON struct {
	Err *errorJSON `json:"error"`
}

// MarshalJSON writes the fields as MarshalEvent does.
func (e Error) MarshalJSON() ([]byte, error) { return json.Marshal(errorEventJSON{toErrorJSON(e.Err)}) }

// UnmarshalJSON reads what MarshalJSON wrote.
func (e *Error) UnmarshalJSON(data []byte) error {
	var j errorEventJSON
	err := json.Unmarshal(data, &j)
	*e = Error{j.Err.toError()}
	return err
}

type statsJSON struct {
	MemoryBytes      uint64        `json:"memory_bytes"`
	MemoryLimitBytes uint64        `json:"memory_limit_bytes"`
	CPUAbsolute      float64       `json:"cpu_absolute"`
	Network          networkJSON   `json:"network"`
	Uptime           time.Duration `json:"uptime"`
	State            State         `json:"state"`
	DiskBytes        int64         `json:"disk_bytes"`
	DiskIO           *diskIOJSON   `json:"disk_io,omitempty"`
}

type networkJSON struct {
	RxBytes uint64 `json:"rx_bytes"`
	TxBytes uint64 `json:"tx_bytes"`
}

type diskIOJSON struct {
	ReadBytes  uint64 `json:"read_bytes"`
	WriteBytes uint64 `json:"write_bytes"`
}

// MarshalJSON writes the fields as MarshalEvent does: under the daemons' names, with the uptime in nanoseconds.
func (e Stats) MarshalJSON() ([]byte, error) {
	return json.Marshal(statsJSON{
		e.MemoryBytes, e.MemoryLimitBytes, e.CPUAbsolute, networkJSON(e.Network), e.Uptime, e.State, e.DiskBytes,
		(*diskIOJSON)(e.DiskIO),
	})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (e *Stats) UnmarshalJSON(data []byte) error {
	var s statsJSON
	err := json.Unmarshal(data, &s)
	*e = Stats{
		s.MemoryBytes, s.MemoryLimitBytes, s.CPUAbsolute, struct{ RxBytes, TxBytes uint64 }(s.Network), s.Uptime, s.State,
		s.DiskBytes, (*DiskIO)(s.DiskIO),
	}
	return err
}
