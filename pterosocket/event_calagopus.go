package pterosocket

// Only Calagopus sends the events of this file. Their names come from its daemon's source. Their arguments have not
// been measured. So each event holds in Args what the daemon sent, and in other fields what could be read from that: an
// id if one comes first, and progress, a status or a message if one follows. A field that could not be read is zero.
// That never causes an Error event.

// Progress says how far something has come: Done of Total, in the daemon's unit. Both are 0 if the daemon did not say.
type Progress struct {
	Done  uint64 `json:"done"`
	Total uint64 `json:"total"`
}

// InstallProgress reports how far the installation has come.
type InstallProgress struct {
	Progress
	Args []string `json:"args"`
}

// ImagePullProgress reports how far the download of part ID of the server's image has come.
type ImagePullProgress struct {
	ID string `json:"id"`
	Progress
	Args []string `json:"args"`
}

// ImagePullCompleted reports that the server's image has been downloaded.
type ImagePullCompleted struct {
	ID   string   `json:"id"`
	Args []string `json:"args"`
}

// BackupStarted reports that the backup UUID has begun. BackupCompleted reports its end.
type BackupStarted struct {
	UUID string   `json:"uuid"`
	Args []string `json:"args"`
}

// BackupProgress reports how far the backup UUID has come.
type BackupProgress struct {
	UUID string `json:"uuid"`
	Progress
	Args []string `json:"args"`
}

// BackupDeleted reports that the backup UUID was deleted.
type BackupDeleted struct {
	UUID string   `json:"uuid"`
	Args []string `json:"args"`
}

// BackupRestoreStarted reports that the restoration of a backup has begun. BackupRestoreCompleted reports its end.
type BackupRestoreStarted struct {
	UUID string   `json:"uuid"`
	Args []string `json:"args"`
}

// BackupRestoreProgress reports how far the restoration of a backup has come.
type BackupRestoreProgress struct {
	UUID string `json:"uuid"`
	Progress
	Args []string `json:"args"`
}

// TransferProgress reports how far the server's transfer to another node has come. TransferStatus reports its states.
type TransferProgress struct {
	Progress
	Args []string `json:"args"`
}

// ScheduleStarted reports that the schedule UUID has begun to run.
type ScheduleStarted struct {
	UUID string   `json:"uuid"`
	Args []string `json:"args"`
}

// ScheduleStepStatus reports the Status of the step UUID of a schedule.
type ScheduleStepStatus struct {
	UUID   string   `json:"uuid"`
	Status string   `json:"status"`
	Args   []string `json:"args"`
}

// ScheduleStepError reports that the step UUID of a schedule has failed. Message says how.
type ScheduleStepError struct {
	UUID    string   `json:"uuid"`
	Message string   `json:"message"`
	Args    []string `json:"args"`
}

// ScheduleCompleted reports that the schedule UUID has run to its end.
type ScheduleCompleted struct {
	UUID string   `json:"uuid"`
	Args []string `json:"args"`
}

// OperationProgress reports how far the operation UUID, on the server's files, has come.
type OperationProgress struct {
	UUID string `json:"uuid"`
	Progress
	Args []string `json:"args"`
}

// OperationError reports that the operation UUID has failed. Message says how.
type OperationError struct {
	UUID    string   `json:"uuid"`
	Message string   `json:"message"`
	Args    []string `json:"args"`
}

// OperationCompleted reports that the operation UUID has ended.
type OperationCompleted struct {
	UUID string   `json:"uuid"`
	Args []string `json:"args"`
}

func (InstallProgress) Name() string       { return "install_progress" }
func (ImagePullProgress) Name() string     { return "image_pull_progress" }
func (ImagePullCompleted) Name() string    { return "image_pull_completed" }
func (BackupStarted) Name() string         { return "backup_started" }
func (BackupProgress) Name() string        { return "backup_progress" }
func (BackupDeleted) Name() string         { return "backup_deleted" }
func (BackupRestoreStarted) Name() string  { return "backup_restore_started" }
func (BackupRestoreProgress) Name() string { return "backup_restore_progress" }
func (TransferProgress) Name() string      { return "transfer_progress" }
func (ScheduleStarted) Name() string       { return "schedule_started" }
func (ScheduleStepStatus) Name() string    { return "schedule_step_status" }
func (ScheduleStepError) Name() string     { return "schedule_step_error" }
func (ScheduleCompleted) Name() string     { return "schedule_completed" }
func (OperationProgress) Name() string     { return "operation_progress" }
func (OperationError) Name() string        { return "operation_error" }
func (OperationCompleted) Name() string    { return "operation_completed" }

func (InstallProgress) sealed()       {}
func (ImagePullProgress) sealed()     {}
func (ImagePullCompleted) sealed()    {}
func (BackupStarted) sealed()         {}
func (BackupProgress) sealed()        {}
func (BackupDeleted) sealed()         {}
func (BackupRestoreStarted) sealed()  {}
func (BackupRestoreProgress) sealed() {}
func (TransferProgress) sealed()      {}
func (ScheduleStarted) sealed()       {}
func (ScheduleStepStatus) sealed()    {}
func (ScheduleStepError) sealed()     {}
func (ScheduleCompleted) sealed()     {}
func (OperationProgress) sealed()     {}
func (OperationError) sealed()        {}
func (OperationCompleted) sealed()    {}
