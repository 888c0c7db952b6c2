package pterosocket

import (
	"time"

	"github.com/pterosocket/pterosocket-go/internal/ansi"
)

// Status reports that the server's power state changed, or what it is after connecting. It may come after console lines
// that were printed later. A restart goes through stopping, offline, starting and running.
type Status struct {
	State State `json:"state"`
}

// Stats reports a server's resources: once a second while it runs, once after connecting if it is offline, and when
// asked for. Only the newest undelivered Stats is kept for a slow consumer. A consumer that stops for a while first
// sees at most one older Stats, and one more for each other event of the server's life, such as Status, that came in
// between.
type Stats struct {
	MemoryBytes      uint64                            // in use
	MemoryLimitBytes uint64                            // 0: unlimited
	CPUAbsolute      float64                           // percent of one core; more than 100 on several
	Network          struct{ RxBytes, TxBytes uint64 } // since the server's start
	Uptime           time.Duration                     // since the server's start
	State            State
	DiskBytes        int64
	DiskIO           *DiskIO // nil unless the daemon reports it (Pelican)
}

// DiskIO counts a server's disk traffic since its start.
type DiskIO struct{ ReadBytes, WriteBytes uint64 }

// ConsoleOutput is one line of the console, including any colour codes. Replayed is set if the line was printed earlier
// and comes from the daemon's history, after a reconnect or with Config.History or Config.After. Lines that arrived
// together share memory, 4 KiB at most. Use strings.Clone for a line that you keep for long.
type ConsoleOutput struct {
	Line     string `json:"line"`
	Replayed bool   `json:"replayed,omitempty"`
}

// Plain returns the line without ANSI escape sequences and without control characters except tab. The result suits a
// log file or a chat.
func (e ConsoleOutput) Plain() string { return ansi.Plain(e.Line) }

// Plain returns any line without ANSI escape sequences and without control characters except tab.
func Plain(line string) string { return ansi.Plain(line) }

// DaemonMessage is a message from the daemon, not from the game.
type DaemonMessage struct {
	Message string `json:"message"`
}

// DaemonError is a failure that the daemon reports: "Error Event [uuid]: ...". It has no details unless the user has
// the permission admin.websocket.errors.
type DaemonError struct {
	Message string `json:"message"`
}

// InstallStarted reports that the server's installation has begun.
type InstallStarted struct{}

// InstallOutput is a line of the installation's output. It needs the permission admin.websocket.install.
type InstallOutput struct {
	Line string `json:"line"`
}

// InstallCompleted reports that the installation has ended. Only Calagopus says whether it was successful. Known is
// false if the daemon did not say.
type InstallCompleted struct {
	Successful bool `json:"successful"`
	Known      bool `json:"known"`
}

// BackupCompleted reports that a backup has ended. It needs the permission backup.read.
type BackupCompleted struct {
	UUID         string `json:"uuid"`
	Successful   bool   `json:"successful"`
	Checksum     string `json:"checksum"`
	ChecksumType string `json:"checksum_type"`
	Size         int64  `json:"size"` // bytes
}

// BackupRestoreCompleted reports that the restoration of a backup has ended. Only Calagopus says whether it was
// successful. Known is false if the daemon did not say.
type BackupRestoreCompleted struct {
	Successful bool `json:"successful"`
	Known      bool `json:"known"`
}

// TransferStatus reports the status of the server's transfer to another node: pending, processing, cancelling,
// cancelled, failed, completed, failure or success. When the transfer is over, whatever its outcome, the library asks
// the panel where the server is now and connects there. The consumer then gets a Close and a Start.
type TransferStatus struct {
	Status string `json:"status"`
}

// TransferLogs is a line of a transfer's log. It needs the permission admin.websocket.transfer.
type TransferLogs struct {
	Line string `json:"line"`
}

// Deleted reports that the server was deleted. Daemons do not send it reliably, but a final Close always comes.
type Deleted struct{}

// FeatureMatch reports that a console line matched one of the server's features (Pelican), such as the request to
// accept an EULA.
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
