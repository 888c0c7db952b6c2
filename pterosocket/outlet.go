package pterosocket

import (
	"reflect"

	"github.com/pterosocket/pterosocket-go/internal/delivery"
)

const (
	// queueBytes limits what waits for a slow consumer, together with Config.QueueSize. A line can have 64 KiB.
	queueBytes = 16 << 20
	// eventBytes is the size of an event without its text.
	eventBytes = 64
)

// A sink takes a connection's events. An Outlet is a sink, and so is a member of a fleet.
type sink interface {
	Push(Event)
	PushAll([]Event) // console lines
	Discard()
	Finish(patience func() delivery.Patience, last func(dropped int) Event) (dropped int)
	Dropped() uint64
	Queued() delivery.Limits // beside what is in the channel
}

// newOutlet returns the outlet between a connection and its consumer.
func newOutlet(size int) *delivery.Outlet[Event] { return outletOf[Event](size) }

// outletOf returns an outlet for the events of type T.
func outletOf[T Event](size int) *delivery.Outlet[T] {
	return delivery.New(delivery.Policy[T]{
		Events: size,
		Bytes:  queueBytes,
		Class:  func(ev T) delivery.Class { return classOf(ev) },
		Size:   func(ev T) int { return sizeOf(ev) },
		Lagged: func(n int) (T, bool) {
			ev, ok := Event(Lagged{Dropped: n}).(T)
			return ev, ok
		},
		Told: func(ev T) int {
			lagged, _ := Event(ev).(Lagged)
			return lagged.Dropped
		},
	})
}

// classOf says what happens to an event if its consumer is slow. Events that come at the console's pace are given up
// first.
func classOf(ev Event) delivery.Class {
	switch ev.(type) {
	case ConsoleOutput, InstallOutput, TransferLogs, DaemonMessage, DaemonError, JWTError, Error, Unknown,
		InstallProgress, ImagePullProgress, BackupProgress, BackupRestoreProgress, TransferProgress, OperationProgress:
		return delivery.Shed
	case Stats:
		return delivery.Latest
	}
	return delivery.Keep
}

// sizeOf returns roughly how many bytes an event takes.
func sizeOf(ev Event) int {
	switch ev := ev.(type) {
	case ConsoleOutput:
		return eventBytes + len(ev.Line)
	case Error:
		return eventBytes + len(ev.Err.Error())
	}
	return eventBytes + textSize(reflect.ValueOf(ev))
}

// textSize returns how many bytes of text are in a value. A peer may make any of it long.
func textSize(v reflect.Value) (n int) {
	switch v.Kind() {
	case reflect.String:
		return v.Len()
	case reflect.Slice:
		for i := range v.Len() {
			n += textSize(v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			n += textSize(v.Field(i))
		}
	}
	return n
}
