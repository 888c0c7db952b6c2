package pterosocket

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pterosocket/pterosocket-go/internal/wire"
)

// decoders turn frames into events, by the frame's event.
var decoders = map[string]func(*wire.Frame) Event{
	wire.ConsoleOutput:          func(f *wire.Frame) Event { return ConsoleOutput{Line: f.Arg(0)} },
	wire.Status:                 func(f *wire.Frame) Event { return Status{State: State(f.Arg(0))} },
	wire.AuthSuccess:            func(f *wire.Frame) Event { return AuthSuccess{Permissions: permissions(f.Args)} },
	wire.TokenExpiring:          func(*wire.Frame) Event { return TokenExpiring{} },
	wire.TokenExpired:           func(*wire.Frame) Event { return TokenExpired{} },
	wire.JWTError:               func(f *wire.Frame) Event { return JWTError{Message: f.Arg(0)} },
	wire.DaemonError:            func(f *wire.Frame) Event { return DaemonError{Message: f.Arg(0)} },
	wire.DaemonMessage:          func(f *wire.Frame) Event { return DaemonMessage{Message: f.Arg(0)} },
	wire.InstallStarted:         func(*wire.Frame) Event { return InstallStarted{} },
	wire.InstallOutput:          func(f *wire.Frame) Event { return InstallOutput{Line: f.Arg(0)} },
	wire.InstallCompleted:       func(f *wire.Frame) Event { return outcome(f) },
	wire.BackupCompleted:        toBackup,
	wire.BackupRestoreCompleted: func(f *wire.Frame) Event { return BackupRestoreCompleted(outcome(f)) },
	wire.TransferStatus:         func(f *wire.Frame) Event { return TransferStatus{Status: f.Arg(0)} },
	wire.TransferLogs:           func(f *wire.Frame) Event { return TransferLogs{Line: f.Arg(0)} },
	wire.Throttled:              func(f *wire.Frame) Event { return Throttled{Event: f.Arg(0)} },
	wire.Deleted:                func(*wire.Frame) Event { return Deleted{} },
	wire.FeatureMatch:           toFeature,
}

// arguments are a frame's arguments. If there is an id, it is the first, and rest follows it, as in Calagopus' "backup
// completed".
type arguments struct {
	id, rest string
	all      []string
}

// calagopus turns frames that only Calagopus sends into events, by the frame's event.
var calagopus = map[string]func(arguments) Event{
	"install progress":        func(a arguments) Event { return InstallProgress{a.progress(), a.all} },
	"image pull progress":     func(a arguments) Event { return ImagePullProgress{a.id, a.progress(), a.all} },
	"image pull completed":    func(a arguments) Event { return ImagePullCompleted{a.id, a.all} },
	"backup started":          func(a arguments) Event { return BackupStarted{a.id, a.all} },
	"backup progress":         func(a arguments) Event { return BackupProgress{a.id, a.progress(), a.all} },
	"backup deleted":          func(a arguments) Event { return BackupDeleted{a.id, a.all} },
	"backup restore started":  func(a arguments) Event { return BackupRestoreStarted{a.id, a.all} },
	"backup restore progress": func(a arguments) Event { return BackupRestoreProgress{a.id, a.progress(), a.all} },
	"transfer progress":       func(a arguments) Event { return TransferProgress{a.progress(), a.all} },
	"schedule started":        func(a arguments) Event { return ScheduleStarted{a.id, a.all} },
	"schedule step status":    func(a arguments) Event { return ScheduleStepStatus{a.id, a.rest, a.all} },
	"schedule step error":     func(a arguments) Event { return ScheduleStepError{a.id, a.rest, a.all} },
	"schedule completed":      func(a arguments) Event { return ScheduleCompleted{a.id, a.all} },
	"operation progress":      func(a arguments) Event { return OperationProgress{a.id, a.progress(), a.all} },
	"operation error":         func(a arguments) Event { return OperationError{a.id, a.rest, a.all} },
	"operation completed":     func(a arguments) Event { return OperationCompleted{a.id, a.all} },
}

// toEvent returns the typed event of a frame. It does not keep the frame. A payload that cannot be read becomes an
// Error.
func toEvent(f *wire.Frame) Event {
	if f.Event == wire.Stats { // the most frequent
		return toStats(f)
	}
	if decode, ok := decoders[f.Event]; ok {
		return decode(f)
	}
	if strings.HasPrefix(f.Event, wire.BackupCompleted+":") { // old daemons append the backup's uuid
		return toBackup(f)
	}
	a := arguments{f.Arg(0), f.Arg(1), slices.Clone(f.Args)}
	if len(a.all) == 1 && strings.HasPrefix(a.id, "{") {
		a.id, a.rest = "", a.id
	}
	if decode, ok := calagopus[f.Event]; ok {
		return decode(a)
	}
	return Unknown{Event: f.Event, Args: a.all}
}

func toStats(f *wire.Frame) Event {
	var p wire.StatsPayload
	if err := wire.DecodeStats(f.Arg(0), &p); err != nil {
		return malformed(f, err)
	}
	return Stats{
		MemoryBytes:      p.MemoryBytes,
		MemoryLimitBytes: p.MemoryLimitBytes,
		CPUAbsolute:      p.CPUAbsolute,
		Network:          struct{ RxBytes, TxBytes uint64 }(p.Network),
		Uptime:           time.Duration(p.UptimeMS) * time.Millisecond,
		State:            State(p.State),
		DiskBytes:        p.DiskBytes,
		DiskIO:           (*DiskIO)(p.DiskIO),
	}
}

func toBackup(f *wire.Frame) Event {
	_, uuid, _ := strings.Cut(f.Event, ":")
	text := f.Arg(0)
	if len(f.Args) > 1 { // Calagopus: the uuid, then the JSON
		uuid, text = f.Arg(0), f.Arg(1)
	}
	var p struct {
		BackupCompleted       // with Calagopus' names; the other daemons have the two below
		IsSuccessful    bool  `json:"is_successful"`
		FileSize        int64 `json:"file_size"`
	}
	if err := wire.DecodePayload(text, &p); err != nil {
		return malformed(f, err)
	}
	p.UUID = cmp.Or(p.UUID, uuid)
	p.Successful = p.Successful || p.IsSuccessful
	p.Size = max(p.Size, p.FileSize)
	return p.BackupCompleted
}

func toFeature(f *wire.Frame) Event {
	var ev FeatureMatch
	if err := wire.DecodePayload(f.Arg(0), &ev); err != nil {
		return malformed(f, err)
	}
	return ev
}

func malformed(f *wire.Frame, err error) Error {
	return Error{Err: fmt.Errorf("the daemon sent %q with a payload that cannot be read: %w", printable(f.Event, 64), err)}
}

// outcome reads Calagopus' "true" or "false". Other daemons send "".
func outcome(f *wire.Frame) InstallCompleted {
	ok, err := strconv.ParseBool(f.Arg(0))
	return InstallCompleted{Successful: ok, Known: err == nil}
}

// progress returns the progress in the last argument that is a JSON object, as far as its form is known.
func (a arguments) progress() Progress {
	for _, arg := range slices.Backward(a.all) {
		var p struct {
			Done  uint64 `json:"progress"`
			Total uint64 `json:"total"`
		}
		if strings.HasPrefix(arg, "{") && wire.DecodePayload(arg, &p) == nil {
			return Progress(p)
		}
	}
	return Progress{}
}

func permissions(names []string) []Permission {
	var out []Permission
	for _, name := range names {
		if name != "" && name != "null" { // some events have these instead of no argument
			out = append(out, Permission(name))
		}
	}
	return out
}

func underscored(event string) string { return strings.ReplaceAll(event, " ", "_") }
