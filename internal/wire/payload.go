package wire

import (
	"encoding/json"
	"fmt"
)

// StatsPayload is what args[0] of a "stats" frame holds as JSON. UptimeMS counts milliseconds.
type StatsPayload struct {
	MemoryBytes      uint64         `json:"memory_bytes"`
	MemoryLimitBytes uint64         `json:"memory_limit_bytes"`
	CPUAbsolute      float64        `json:"cpu_absolute"`
	Network          NetworkPayload `json:"network"`
	UptimeMS         int64          `json:"uptime"`
	State            string         `json:"state"`
	DiskBytes        int64          `json:"disk_bytes"`
	DiskIO           *DiskIOPayload `json:"disk_io,omitempty"`
}

// NetworkPayload is the "network" of a StatsPayload.
type NetworkPayload struct {
	RxBytes uint64 `json:"rx_bytes"`
	TxBytes uint64 `json:"tx_bytes"`
}

// DiskIOPayload is the "disk_io" of a StatsPayload; only Pelican sends it.
type DiskIOPayload struct {
	ReadBytes  uint64 `json:"read_bytes"`
	WriteBytes uint64 `json:"write_bytes"`
}

// BackupPayload is what a "backup completed" frame holds: args[0] on Pterodactyl and Pelican, args[1], with names of
// its own and without the uuid, on Calagopus.
type BackupPayload struct {
	UUID         string `json:"uuid"`
	IsSuccessful bool   `json:"is_successful"`
	Successful   bool   `json:"successful"` // Calagopus
	Checksum     string `json:"checksum"`
	ChecksumType string `json:"checksum_type"`
	FileSize     int64  `json:"file_size"`
	Size         int64  `json:"size"` // Calagopus
}

// FeaturePayload is what args[0] of a "feature match" frame holds.
type FeaturePayload struct {
	Key     string `json:"key"`
	Pattern string `json:"pattern"`
	Line    string `json:"line"`
}

// ProgressPayload is what Calagopus' progress events hold, as far as it is known.
type ProgressPayload struct {
	Progress uint64 `json:"progress"`
	Total    uint64 `json:"total"`
}

// DecodeStats decodes args[0] of a "stats" frame. Very old daemons send a bare state word: then only State is set.
func DecodeStats(text string, p *StatsPayload) error {
	*p = StatsPayload{}
	if decodeStatsFast(text, p) {
		return nil
	}
	*p = StatsPayload{}
	if isWord(text) {
		p.State = text
		return nil
	}
	return DecodePayload(text, p)
}

// DecodePayload decodes any other payload, with encoding/json.
func DecodePayload(text string, p any) error {
	if err := json.Unmarshal([]byte(text), p); err != nil {
		return fmt.Errorf("malformed payload: %w", err)
	}
	return nil
}

func isWord(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < 'a' || c > 'z' {
			return false
		}
	}
	return s != "" && s != "null" && s != "true" && s != "false"
}
