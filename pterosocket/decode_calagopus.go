package pterosocket

import (
	"slices"
	"strings"

	"github.com/pterosocket/pterosocket-go/internal/wire"
)

// arguments are a frame's. An id, where there is one, is the first, and rest follows it, as in Calagopus' "backup
// completed".
type arguments struct {
	id, rest string
	all      []string
}

// calagopus makes events of frames that only Calagopus sends, by the frame's event.
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

// toCalagopus returns the event of a frame that only Calagopus sends, and Unknown for any other.
func toCalagopus(f *wire.Frame) Event {
	a := arguments{f.Arg(0), f.Arg(1), slices.Clone(f.Args)}
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
