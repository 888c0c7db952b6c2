package pterotest

import (
	"encoding/json"
	"time"

	"github.com/pterosocket/pterosocket-go/internal/wire"
)

// Stats are the server's resources, as stats frames report them.
type Stats struct {
	State                         string // "": the server's own
	MemoryBytes, MemoryLimitBytes uint64
	CPUAbsolute                   float64
	RxBytes, TxBytes              uint64
	Uptime                        time.Duration
	DiskBytes                     int64
	DiskReadBytes, DiskWriteBytes uint64 // only Pelican sends them
	pelican                       bool
}

// SetStats sets what the next stats frames say, and sends one at once.
func (s *Server) SetStats(stats Stats) {
	s.mu.Lock()
	s.stats = &stats
	s.mu.Unlock()
	s.broadcast(wire.Stats, s.currentStats().mapOrder())
}

// currentStats returns the stats of this moment: what was set, or the recorded game's.
func (s *Server) currentStats() Stats {
	s.mu.Lock()
	set, state, uptime := s.stats, s.state, time.Since(s.started)
	s.mu.Unlock()
	stats := Stats{MemoryLimitBytes: 1181116006}
	switch {
	case set != nil:
		stats = *set
	case state == "offline":
	case s.cfg.Stats != nil:
		stats = s.cfg.Stats(state, uptime)
		stats.Uptime = uptime
	default:
		seconds := uint64(uptime.Seconds())
		stats.Uptime = uptime
		stats.MemoryBytes = 512<<20 + 4096*seconds
		stats.CPUAbsolute = 12.345
		stats.RxBytes, stats.TxBytes = 1000*seconds, 2000*seconds
		stats.DiskReadBytes, stats.DiskWriteBytes = 4096*seconds, 8192*seconds
	}
	if stats.State == "" {
		stats.State = state
	}
	stats.pelican = s.cfg.Dialect == Pelican
	return stats
}

type diskIO struct {
	ReadBytes  uint64 `json:"read_bytes"`
	WriteBytes uint64 `json:"write_bytes"`
}

type network struct {
	RxBytes uint64 `json:"rx_bytes"`
	TxBytes uint64 `json:"tx_bytes"`
}

// structOrder is the JSON of stats that were asked for.
func (s Stats) structOrder() string {
	v := struct {
		MemoryBytes      uint64  `json:"memory_bytes"`
		MemoryLimitBytes uint64  `json:"memory_limit_bytes"`
		CPUAbsolute      float64 `json:"cpu_absolute"`
		Network          network `json:"network"`
		DiskIO           *diskIO `json:"disk_io,omitempty"`
		Uptime           int64   `json:"uptime"`
		State            string  `json:"state"`
		DiskBytes        int64   `json:"disk_bytes"`
	}{s.MemoryBytes, s.MemoryLimitBytes, s.CPUAbsolute, network{s.RxBytes, s.TxBytes}, s.diskIO(), s.Uptime.Milliseconds(), s.State, s.DiskBytes}
	text, _ := json.Marshal(v) // numbers and strings
	return string(text)
}

// mapOrder is the JSON of stats that come by themselves: the daemons make it from a map, so its keys are sorted.
func (s Stats) mapOrder() string {
	v := map[string]any{
		"memory_bytes": s.MemoryBytes, "memory_limit_bytes": s.MemoryLimitBytes, "cpu_absolute": s.CPUAbsolute,
		"network": network{s.RxBytes, s.TxBytes}, "uptime": s.Uptime.Milliseconds(), "state": s.State, "disk_bytes": s.DiskBytes,
	}
	if io := s.diskIO(); io != nil {
		v["disk_io"] = io
	}
	text, _ := json.Marshal(v)
	return string(text)
}

func (s Stats) diskIO() *diskIO {
	if !s.pelican {
		return nil
	}
	return &diskIO{s.DiskReadBytes, s.DiskWriteBytes}
}

// tick sends stats every Config.StatsEvery while the server is not offline.
func (s *Server) tick() {
	ticker := time.NewTicker(s.cfg.StatsEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-s.ctx.Done():
			return
		}
		if stats := s.currentStats(); s.State() != "offline" {
			s.broadcast(wire.Stats, stats.mapOrder())
		}
	}
}
