package pterosocket

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/pterosocket/pterosocket-go/internal/wire"
)

// decoders make events of frames, by the frame's event.
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

// toEvent returns the typed event of a frame. The frame is not kept. A payload that cannot be read becomes an Error.
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
	return toCalagopus(f)
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
		BackupCompleted       // Calagopus' names; the other daemons have two of their own
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

// outcome reads the "true" and "false" of Calagopus; other daemons send "".
func outcome(f *wire.Frame) InstallCompleted {
	ok, err := strconv.ParseBool(f.Arg(0))
	return InstallCompleted{Successful: ok, Known: err == nil}
}

func permissions(names []string) []Permission {
	var out []Permission
	for _, name := range names {
		if name != "" && name != "null" { // what some events have in place of no argument
			out = append(out, Permission(name))
		}
	}
	return out
}

func underscored(event string) string { return strings.ReplaceAll(event, " ", "_") }
