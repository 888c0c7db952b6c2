package wire

import (
	"encoding/json"
	"fmt"
	"strings"
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

// DecodeStats decodes args[0] of a "stats" frame. Very old daemons send a bare state word: then only State is set.
func DecodeStats(text string, p *StatsPayload) error {
	*p = StatsPayload{}
	switch {
	case isWord(text):
		p.State = text
	case !decodeStatsFast(text, p):
		*p = StatsPayload{}
		return DecodePayload(text, p)
	}
	return nil
}

// DecodePayload decodes any other payload, with encoding/json.
func DecodePayload(text string, p any) error {
	if err := json.Unmarshal([]byte(text), p); err != nil {
		return fmt.Errorf("malformed payload: %w", err)
	}
	return nil
}

func isWord(s string) bool {
	isOther := func(r rune) bool { return r < 'a' || r > 'z' }
	return s != "" && s != "null" && s != "true" && s != "false" && !strings.ContainsFunc(s, isOther)
}
