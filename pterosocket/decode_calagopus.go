package pterosocket

import (
	"slices"
	"strings"

	"github.com/pterosocket/pterosocket-go/internal/wire"
)

// toCalagopus returns the event of a frame that only Calagopus sends, and Unknown for any other. An id, where there is
// one, is args[0], and what follows it is args[1], as in its "backup completed".
func toCalagopus(f *wire.Frame) Event {
	args := slices.Clone(f.Args)
	id, rest := f.Arg(0), f.Arg(1)
	if len(args) == 1 && strings.HasPrefix(id, "{") {
		id, rest = "", id
	}
	switch f.Event {
	case wire.InstallProgress:
		return InstallProgress{Progress: progress(args), Args: args}
	case wire.ImagePullProgress:
		return ImagePullProgress{ID: id, Progress: progress(args), Args: args}
	case wire.ImagePullCompleted:
		return ImagePullCompleted{ID: id, Args: args}
	case wire.BackupStarted:
		return BackupStarted{UUID: id, Args: args}
	case wire.BackupProgress:
		return BackupProgress{UUID: id, Progress: progress(args), Args: args}
	case wire.BackupDeleted:
		return BackupDeleted{UUID: id, Args: args}
	case wire.BackupRestoreStarted:
		return BackupRestoreStarted{UUID: id, Args: args}
	case wire.BackupRestoreProgress:
		return BackupRestoreProgress{UUID: id, Progress: progress(args), Args: args}
	case wire.TransferProgress:
		return TransferProgress{Progress: progress(args), Args: args}
	case wire.ScheduleStarted:
		return ScheduleStarted{UUID: id, Args: args}
	case wire.ScheduleStepStatus:
		return ScheduleStepStatus{UUID: id, Status: rest, Args: args}
	case wire.ScheduleStepError:
		return ScheduleStepError{UUID: id, Message: rest, Args: args}
	case wire.ScheduleCompleted:
		return ScheduleCompleted{UUID: id, Args: args}
	case wire.OperationProgress:
		return OperationProgress{UUID: id, Progress: progress(args), Args: args}
	case wire.OperationError:
		return OperationError{UUID: id, Message: rest, Args: args}
	case wire.OperationCompleted:
		return OperationCompleted{UUID: id, Args: args}
	}
	return Unknown{Event: f.Event, Args: args}
}

// progress reads the last argument that is a JSON object.
func progress(args []string) Progress {
	for _, arg := range slices.Backward(args) {
		var p wire.ProgressPayload
		if strings.HasPrefix(arg, "{") && wire.DecodePayload(arg, &p) == nil {
			return Progress{Done: p.Progress, Total: p.Total}
		}
	}
	return Progress{}
}
