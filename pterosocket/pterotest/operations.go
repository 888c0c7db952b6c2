package pterotest

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/pterosocket/pterosocket-go/internal/wire"
)

// Install sends what a daemon sends during an installation, with its output. Only Calagopus says whether it was
// successful.
func (s *Server) Install(successful bool, output ...string) {
	s.Emit(wire.InstallStarted, "")
	s.Emit(wire.DaemonMessage, "Starting installation process, this could take a few minutes...")
	for _, line := range output {
		s.Emit(wire.InstallOutput, line)
	}
	s.Emit(wire.DaemonMessage, "Installation process completed.")
	s.Emit(wire.InstallCompleted, s.outcome(successful))
}

// Backup is what a daemon says about a backup.
type Backup struct {
	UUID         string // "": one is made up
	Successful   bool
	Checksum     string
	ChecksumType string
	Size         int64 // bytes
}

// Backup sends that a backup has ended, in the dialect's own form. Only users with the permission backup.read get it.
func (s *Server) Backup(b Backup) {
	if b.UUID == "" {
		b.UUID = newUUID()
	}
	if s.cfg.Dialect == Calagopus {
		text, _ := json.Marshal(map[string]any{ // strings, a number and a bool
			"successful": b.Successful, "checksum": b.Checksum, "checksum_type": b.ChecksumType, "size": b.Size,
		})
		s.Emit(wire.BackupCompleted, b.UUID, string(text))
		return
	}
	text, _ := json.Marshal(map[string]any{
		"uuid": b.UUID, "is_successful": b.Successful, "checksum": b.Checksum, "checksum_type": b.ChecksumType, "file_size": b.Size,
	})
	s.Emit(wire.BackupCompleted, string(text))
}

// RestoreBackup sends what a daemon sends during the restoration of a backup, with the names of its files. Only
// Calagopus says whether it was successful.
func (s *Server) RestoreBackup(successful bool, files ...string) {
	for _, file := range files {
		s.Emit(wire.DaemonMessage, "(restoring): "+file)
	}
	s.Emit(wire.DaemonMessage, "Completed server restoration from local backup.")
	s.Emit(wire.BackupRestoreCompleted, s.outcome(successful))
}

func (s *Server) outcome(successful bool) string {
	if s.cfg.Dialect == Calagopus {
		return strconv.FormatBool(successful)
	}
	return ""
}

// Transfer moves the server to the other node. It sends the statuses to the clients. The panel's URL then points to the
// new node, and the old node no longer knows the server.
func (s *Server) Transfer() {
	s.beginTransfer()
	s.mu.Lock()
	s.node = 1 - s.node
	s.mu.Unlock()
	s.Emit(wire.TransferStatus, "completed")
}

// FailTransfer sends the statuses of a transfer that fails. The server stays where it is.
func (s *Server) FailTransfer() {
	s.beginTransfer()
	s.Emit(wire.TransferStatus, "failure")
}

func (s *Server) beginTransfer() {
	s.Emit(wire.TransferStatus, "pending")
	s.Emit(wire.TransferStatus, "processing")
	s.Emit(wire.TransferLogs, "\x1b[33m\x1b[1m"+s.now().UTC().Format(time.RFC1123)+
		" [Transfer System] [Source Node]:\x1b[39m Preparing to stream server data to destination...\x1b[0m")
}

// MatchFeature prints a line that matches the pattern of one of the server's features, such as key "eula". Only Pelican
// reports the match.
func (s *Server) MatchFeature(key, pattern, line string) {
	s.Print(line)
	if s.cfg.Dialect == Pelican {
		text, _ := json.Marshal(map[string]string{"key": key, "pattern": pattern, "line": line})
		s.Emit(wire.FeatureMatch, string(text))
	}
}
