package wire

// The names of the events, as they stand in a frame's "event". The first group is sent by clients, the second by
// daemons, of which Calagopus sends more.
const (
	Auth        = "auth"
	SendCommand = "send command"
	SetState    = "set state"
	SendLogs    = "send logs"
	SendStats   = "send stats"

	AuthSuccess            = "auth success"
	Status                 = "status"
	Stats                  = "stats"
	ConsoleOutput          = "console output"
	TokenExpiring          = "token expiring"
	TokenExpired           = "token expired"
	JWTError               = "jwt error"
	DaemonError            = "daemon error"
	DaemonMessage          = "daemon message"
	InstallStarted         = "install started"
	InstallOutput          = "install output"
	InstallCompleted       = "install completed"
	BackupCompleted        = "backup completed"
	BackupRestoreCompleted = "backup restore completed"
	TransferStatus         = "transfer status"
	TransferLogs           = "transfer logs"
	Throttled              = "throttled"
	Deleted                = "deleted"
	FeatureMatch           = "feature match"
)

// frequent are the events that daemons send often, the most frequent first.
var frequent = []string{
	ConsoleOutput, Stats, Status, AuthSuccess, JWTError, InstallOutput, DaemonMessage, DaemonError, TransferLogs,
	TokenExpiring,
}

// intern returns name as a string, without allocating for the frequent ones.
func intern(name []byte) string {
	for _, known := range frequent {
		if string(name) == known { // the compiler compares without converting
			return known
		}
	}
	return string(name)
}
