package pterosocket

// The events of this file come from Calagopus only. Their names are known from its daemon's source, their arguments
// have not been measured. So each holds Args, what the daemon sent, and beside it what could be read from that: an id
// where one comes first, and progress, a status or a message where one follows. What could not be read is zero, and
// never an Error.

// Progress is how far something has come: Done of Total, in the daemon's unit. Both are 0 where the daemon did not
// tell.
type Progress struct {
	Done  uint64 `json:"done"`
	Total uint64 `json:"total"`
}

// InstallProgress: the installation has come so far.
type InstallProgress struct {
	Progress
	Args []string `json:"args"`
}

// ImagePullProgress: the download of part ID of the server's image has come so far.
type ImagePullProgress struct {
	ID string `json:"id"`
	Progress
	Args []string `json:"args"`
}

// ImagePullCompleted: the server's image has been downloaded.
type ImagePullCompleted struct {
	ID   string   `json:"id"`
	Args []string `json:"args"`
}

// BackupStarted: the backup UUID has begun. BackupCompleted ends it.
type BackupStarted struct {
	UUID string   `json:"uuid"`
	Args []string `json:"args"`
}

// BackupProgress: the backup UUID has come so far.
type BackupProgress struct {
	UUID string `json:"uuid"`
	Progress
	Args []string `json:"args"`
}

// BackupDeleted: the backup UUID has been deleted.
type BackupDeleted struct {
	UUID string   `json:"uuid"`
	Args []string `json:"args"`
}

// BackupRestoreStarted: the restoration of a backup has begun. BackupRestoreCompleted ends it.
type BackupRestoreStarted struct {
	UUID string   `json:"uuid"`
	Args []string `json:"args"`
}

// BackupRestoreProgress: the restoration of a backup has come so far.
type BackupRestoreProgress struct {
	UUID string `json:"uuid"`
	Progress
	Args []string `json:"args"`
}

// TransferProgress: the server's transfer to another node has come so far. TransferStatus tells its states.
type TransferProgress struct {
	Progress
	Args []string `json:"args"`
}

// ScheduleStarted: the schedule UUID has begun to run.
type ScheduleStarted struct {
	UUID string   `json:"uuid"`
	Args []string `json:"args"`
}

// ScheduleStepStatus: a schedule's step UUID has come to Status.
type ScheduleStepStatus struct {
	UUID   string   `json:"uuid"`
	Status string   `json:"status"`
	Args   []string `json:"args"`
}

// ScheduleStepError: a schedule's step UUID has failed. Message says how.
type ScheduleStepError struct {
	UUID    string   `json:"uuid"`
	Message string   `json:"message"`
	Args    []string `json:"args"`
}

// ScheduleCompleted: the schedule UUID has run to its end.
type ScheduleCompleted struct {
	UUID string   `json:"uuid"`
	Args []string `json:"args"`
}

// OperationProgress: the operation UUID, on the server's files, has come so far.
type OperationProgress struct {
	UUID string `json:"uuid"`
	Progress
	Args []string `json:"args"`
}

// OperationError: the operation UUID has failed. Message says how.
type OperationError struct {
	UUID    string   `json:"uuid"`
	Message string   `json:"message"`
	Args    []string `json:"args"`
}

// OperationCompleted: the operation UUID has ended.
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
