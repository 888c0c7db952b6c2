package pterosocket

import (
	"time"

	"github.com/pterosocket/pterosocket-go/internal/ansi"
)

// Status: the server's power state has changed, or is told after connecting. A status may come after console lines that
// were printed later; a restart goes through stopping, offline, starting and running.
type Status struct {
	State State `json:"state"`
}

// Stats are a server's resources: once a second while it runs, once after connecting if it is offline, or when asked
// for. Only the newest undelivered Stats is kept for a slow consumer: one that has stopped sees at most one older Stats
// first, and one more for each other event of the server's life that came in between.
type Stats struct {
	MemoryBytes      uint64                            // in use
	MemoryLimitBytes uint64                            // 0: unlimited
	CPUAbsolute      float64                           // percent of one core; more than 100 on several
	Network          struct{ RxBytes, TxBytes uint64 } // since the start
	Uptime           time.Duration                     // since the start
	State            State
	DiskBytes        int64
	DiskIO           *DiskIO // nil unless the daemon tells (Pelican)
}

// DiskIO counts a server's disk traffic since its start.
type DiskIO struct{ ReadBytes, WriteBytes uint64 }

// ConsoleOutput is one line of the console, with whatever colours it was printed in. Replayed: it comes from the
// daemon's history, after a reconnect or with Config.History, and was printed earlier. Lines that arrived together
// share memory, 4 KiB at most: strings.Clone one that is kept for long.
type ConsoleOutput struct {
	Line     string `json:"line"`
	Replayed bool   `json:"replayed,omitempty"`
}

// Plain returns the line without ANSI escape sequences and without control characters but tab: fit for a log file or a
// chat.
func (e ConsoleOutput) Plain() string { return ansi.Plain(e.Line) }

// Plain does the same with any line.
func Plain(line string) string { return ansi.Plain(line) }

// DaemonMessage is something that the daemon, not the game, has to say.
type DaemonMessage struct {
	Message string `json:"message"`
}

// DaemonError is a failure that the daemon reports: "Error Event [uuid]: ...", without details unless the user has
// admin.websocket.errors.
type DaemonError struct {
	Message string `json:"message"`
}

// InstallStarted: the server's installation has begun.
type InstallStarted struct{}

// InstallOutput is a line of the installation's output. It needs admin.websocket.install.
type InstallOutput struct {
	Line string `json:"line"`
}

// InstallCompleted: the installation has ended. Only Calagopus says how; Known is false where the daemon did not.
type InstallCompleted struct {
	Successful bool `json:"successful"`
	Known      bool `json:"known"`
}

// BackupCompleted: a backup has ended. It needs backup.read.
type BackupCompleted struct {
	UUID         string `json:"uuid"`
	Successful   bool   `json:"successful"`
	Checksum     string `json:"checksum"`
	ChecksumType string `json:"checksum_type"`
	Size         int64  `json:"size"` // bytes
}

// BackupRestoreCompleted: the restoration of a backup has ended. Only Calagopus says how; Known is false where the
// daemon did not.
type BackupRestoreCompleted struct {
	Successful bool `json:"successful"`
	Known      bool `json:"known"`
}

// TransferStatus: the server's transfer to another node has come to Status, one of pending, processing, cancelling,
// cancelled, failed, completed, failure, success. When it is over, however it ended, the library asks the panel where
// the server is now and connects there; that is a Close and a Start.
type TransferStatus struct {
	Status string `json:"status"`
}

// TransferLogs is a line of a transfer's log. It needs admin.websocket.transfer.
type TransferLogs struct {
	Line string `json:"line"`
}

// Deleted: the server has been deleted. Daemons do not send it reliably; the final Close tells.
type Deleted struct{}

// FeatureMatch: a console line matched one of the server's features (Pelican), such as the request to accept an EULA.
type FeatureMatch struct {
	Key     string `json:"key"`
	Pattern string `json:"pattern"`
	Line    string `json:"line"`
}

func (Status) Name() string                 { return "status" }
func (Stats) Name() string                  { return "stats" }
func (ConsoleOutput) Name() string          { return "console_output" }
func (DaemonMessage) Name() string          { return "daemon_message" }
func (DaemonError) Name() string            { return "daemon_error" }
func (InstallStarted) Name() string         { return "install_started" }
func (InstallOutput) Name() string          { return "install_output" }
func (InstallCompleted) Name() string       { return "install_completed" }
func (BackupCompleted) Name() string        { return "backup_completed" }
func (BackupRestoreCompleted) Name() string { return "backup_restore_completed" }
func (TransferStatus) Name() string         { return "transfer_status" }
func (TransferLogs) Name() string           { return "transfer_logs" }
func (Deleted) Name() string                { return "deleted" }
func (FeatureMatch) Name() string           { return "feature_match" }

func (Status) sealed()                 {}
func (Stats) sealed()                  {}
func (ConsoleOutput) sealed()          {}
func (DaemonMessage) sealed()          {}
func (DaemonError) sealed()            {}
func (InstallStarted) sealed()         {}
func (InstallOutput) sealed()          {}
func (InstallCompleted) sealed()       {}
func (BackupCompleted) sealed()        {}
func (BackupRestoreCompleted) sealed() {}
func (TransferStatus) sealed()         {}
func (TransferLogs) sealed()           {}
func (Deleted) sealed()                {}
func (FeatureMatch) sealed()           {}
