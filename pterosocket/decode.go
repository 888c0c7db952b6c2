package pterosocket

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/pterosocket/pterosocket-go/internal/wire"
)

// toEvent returns the typed event of a frame. The frame is not kept. A payload that cannot be read becomes an Error.
func toEvent(f *wire.Frame) Event {
	switch f.Event {
	case wire.ConsoleOutput:
		return ConsoleOutput{Line: f.Arg(0)}
	case wire.Stats:
		return toStats(f)
	case wire.Status:
		return Status{State: State(f.Arg(0))}
	case wire.AuthSuccess:
		return AuthSuccess{Permissions: permissions(f.Args)}
	case wire.TokenExpiring:
		return TokenExpiring{}
	case wire.TokenExpired:
		return TokenExpired{}
	case wire.JWTError:
		return JWTError{Message: f.Arg(0)}
	case wire.DaemonError:
		return DaemonError{Message: f.Arg(0)}
	case wire.DaemonMessage:
		return DaemonMessage{Message: f.Arg(0)}
	case wire.InstallStarted:
		return InstallStarted{}
	case wire.InstallOutput:
		return InstallOutput{Line: f.Arg(0)}
	case wire.InstallCompleted:
		ok, known := outcome(f.Arg(0))
		return InstallCompleted{Successful: ok, Known: known}
	case wire.BackupCompleted:
		return toBackup(f)
	case wire.BackupRestoreCompleted:
		ok, known := outcome(f.Arg(0))
		return BackupRestoreCompleted{Successful: ok, Known: known}
	case wire.TransferStatus:
		return TransferStatus{Status: f.Arg(0)}
	case wire.TransferLogs:
		return TransferLogs{Line: f.Arg(0)}
	case wire.Throttled:
		return Throttled{Event: f.Arg(0)}
	case wire.Deleted:
		return Deleted{}
	case wire.FeatureMatch:
		var p wire.FeaturePayload
		if err := wire.DecodePayload(f.Arg(0), &p); err != nil {
			return malformed(f, err)
		}
		return FeatureMatch{Key: p.Key, Pattern: p.Pattern, Line: p.Line}
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
	var p wire.BackupPayload
	_, uuid, _ := strings.Cut(f.Event, ":")
	text := f.Arg(0)
	if len(f.Args) > 1 { // Calagopus: the uuid, then the JSON
		uuid, text = f.Arg(0), f.Arg(1)
	}
	if err := wire.DecodePayload(text, &p); err != nil {
		return malformed(f, err)
	}
	if p.UUID != "" {
		uuid = p.UUID
	}
	return BackupCompleted{
		UUID:         uuid,
		Successful:   p.IsSuccessful || p.Successful,
		Checksum:     p.Checksum,
		ChecksumType: p.ChecksumType,
		Size:         max(p.FileSize, p.Size),
	}
}

func malformed(f *wire.Frame, err error) Error {
	return Error{Err: fmt.Errorf("the daemon sent %q with a payload that cannot be read: %w", printable(f.Event, 64), err)}
}

// outcome reads the "true" and "false" of Calagopus; other daemons send "".
func outcome(arg string) (ok, known bool) {
	ok, err := strconv.ParseBool(arg)
	return ok, err == nil
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
