package pterosocket

import (
	"slices"
	"strings"

	"github.com/pterosocket/pterosocket-go/internal/wire"
)

// arguments are a frame's. An id, where there is one, is args[0], and what follows it is args[1], as in Calagopus'
// "backup completed".
type arguments struct {
	id, rest string
	all      []string
}

// calagopus makes events of frames that only Calagopus sends, by the frame's event.
var calagopus = map[string]func(arguments) Event{
	wire.InstallProgress:       func(a arguments) Event { return InstallProgress{a.progress(), a.all} },
	wire.ImagePullProgress:     func(a arguments) Event { return ImagePullProgress{a.id, a.progress(), a.all} },
	wire.ImagePullCompleted:    func(a arguments) Event { return ImagePullCompleted{a.id, a.all} },
	wire.BackupStarted:         func(a arguments) Event { return BackupStarted{a.id, a.all} },
	wire.BackupProgress:        func(a arguments) Event { return BackupProgress{a.id, a.progress(), a.all} },
	wire.BackupDeleted:         func(a arguments) Event { return BackupDeleted{a.id, a.all} },
	wire.BackupRestoreStarted:  func(a arguments) Event { return BackupRestoreStarted{a.id, a.all} },
	wire.BackupRestoreProgress: func(a arguments) Event { return BackupRestoreProgress{a.id, a.progress(), a.all} },
	wire.TransferProgress:      func(a arguments) Event { return TransferProgress{a.progress(), a.all} },
	wire.ScheduleStarted:       func(a arguments) Event { return ScheduleStarted{a.id, a.all} },
	wire.ScheduleStepStatus:    func(a arguments) Event { return ScheduleStepStatus{a.id, a.rest, a.all} },
	wire.ScheduleStepError:     func(a arguments) Event { return ScheduleStepError{a.id, a.rest, a.all} },
	wire.ScheduleCompleted:     func(a arguments) Event { return ScheduleCompleted{a.id, a.all} },
	wire.OperationProgress:     func(a arguments) Event { return OperationProgress{a.id, a.progress(), a.all} },
	wire.OperationError:        func(a arguments) Event { return OperationError{a.id, a.rest, a.all} },
	wire.OperationCompleted:    func(a arguments) Event { return OperationCompleted{a.id, a.all} },
}

// toCalagopus returns the event of a frame that only Calagopus sends, and Unknown for any other.
func toCalagopus(f *wire.Frame) Event {
	a := arguments{id: f.Arg(0), rest: f.Arg(1), all: slices.Clone(f.Args)}
	if len(a.all) == 1 && strings.HasPrefix(a.id, "{") {
		a.id, a.rest = "", a.id
	}
	if decode, ok := calagopus[f.Event]; ok {
		return decode(a)
	}
	return Unknown{Event: f.Event, Args: a.all}
}

// progress reads the last argument that is a JSON object with progress, as far as that is known.
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
