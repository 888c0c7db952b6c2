package prom

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pterosocket/pterosocket-go/pterosocket"
)

// A metric is one figure of a server.
type metric struct {
	name, help string
	kind       prometheus.ValueType
	value      func(*pterosocket.ServerSnapshot) (v float64, known bool)
}

// metrics have no label but server.
var metrics = []metric{
	gauge("connected", "1 while the connection is up and authenticated, otherwise 0.",
		func(s *pterosocket.ServerSnapshot) (float64, bool) { return number(s.Connected), true }),
	gauge("connection_start_time_seconds", "When the current or last connection was first authenticated.",
		func(s *pterosocket.ServerSnapshot) (float64, bool) { return timestamp(s.Since) }),
	gauge("last_frame_time_seconds", "When the daemon last sent a message. A server that is offline may cause none for hours.",
		func(s *pterosocket.ServerSnapshot) (float64, bool) { return timestamp(s.LastFrame) }),
	gauge("token_expiry_time_seconds", "When the token in use ends. It is renewed well before. Absent while not connected.",
		func(s *pterosocket.ServerSnapshot) (float64, bool) { return timestamp(s.TokenExpires) }),
	gauge("ping_rtt_seconds", "Round trip time of the last ping that the daemon answered.",
		func(s *pterosocket.ServerSnapshot) (float64, bool) {
			return s.Metrics.PingRTT.Seconds(), s.Metrics.PingRTT > 0
		}),
	gauge("queued_events", "Events that wait for the consumer, without those in the channel.",
		func(s *pterosocket.ServerSnapshot) (float64, bool) { return float64(s.QueuedEvents), true }),
	gauge("queued_bytes", "Size of the events that wait for the consumer.",
		func(s *pterosocket.ServerSnapshot) (float64, bool) { return float64(s.QueuedBytes), true }),

	counter("frames_total", "Frames that the daemon sent. Each holds one event.", func(m *pterosocket.Metrics) uint64 { return m.EventsReceived }),
	counter("received_bytes_total", "Size of the frames that the daemon sent, uncompressed.",
		func(m *pterosocket.Metrics) uint64 { return m.BytesReceived }),
	counter("console_lines_total", "Console lines, recovered and dropped ones included.",
		func(m *pterosocket.Metrics) uint64 { return m.ConsoleLines }),
	counter("console_lines_recovered_total", "Console lines recovered from the daemon's log after a connection was lost.",
		func(m *pterosocket.Metrics) uint64 { return m.LinesReplayed }),
	counter("events_dropped_total", "Events given up because the consumer was too slow.",
		func(m *pterosocket.Metrics) uint64 { return m.Dropped }),
	counter("gaps_total", "Places where console lines may be missing.", func(m *pterosocket.Metrics) uint64 { return m.Gaps }),
	counter("reconnects_total", "Connections after the first that were authenticated.",
		func(m *pterosocket.Metrics) uint64 { return m.Reconnects }),
	counter("failed_attempts_total", "Attempts to connect that failed.",
		func(m *pterosocket.Metrics) uint64 { return m.FailedAttempts }),
	counter("token_renewals_total", "Tokens renewed on a live connection.",
		func(m *pterosocket.Metrics) uint64 { return m.Renewals }),
	counter("credential_requests_total", "Requests to the panel for a token.",
		func(m *pterosocket.Metrics) uint64 { return m.CredentialRequests }),
	counter("commands_sent_total", "Frames that your program sent through Commands.",
		func(m *pterosocket.Metrics) uint64 { return m.CommandsSent }),
	counter("frames_skipped_total", "Frames that were too long or could not be read.",
		func(m *pterosocket.Metrics) uint64 { return m.FramesSkipped }),

	stat("server_cpu_cores", "Processor time that the server uses, in cores.", prometheus.GaugeValue,
		func(s *pterosocket.Stats) float64 { return s.CPUAbsolute / 100 }),
	stat("server_memory_bytes", "Memory that the server uses.", prometheus.GaugeValue,
		func(s *pterosocket.Stats) float64 { return float64(s.MemoryBytes) }),
	gauge("server_memory_limit_bytes", "Memory that the server may use. Absent if it has no limit.",
		func(s *pterosocket.ServerSnapshot) (float64, bool) {
			return float64(s.Stats.MemoryLimitBytes), hasStats(s) && s.Stats.MemoryLimitBytes > 0
		}),
	stat("server_disk_bytes", "Disk space that the server uses.", prometheus.GaugeValue,
		func(s *pterosocket.Stats) float64 { return float64(s.DiskBytes) }),
	stat("server_network_receive_bytes_total", "Bytes that the server has received since it was started.", prometheus.CounterValue,
		func(s *pterosocket.Stats) float64 { return float64(s.Network.RxBytes) }),
	stat("server_network_transmit_bytes_total", "Bytes that the server has sent since it was started.", prometheus.CounterValue,
		func(s *pterosocket.Stats) float64 { return float64(s.Network.TxBytes) }),
	stat("server_uptime_seconds", "How long the server has been running.", prometheus.GaugeValue,
		func(s *pterosocket.Stats) float64 { return s.Uptime.Seconds() }),
}

func gauge(name, help string, value func(*pterosocket.ServerSnapshot) (float64, bool)) metric {
	return metric{name, help, prometheus.GaugeValue, value}
}

func counter(name, help string, value func(*pterosocket.Metrics) uint64) metric {
	return metric{name, help, prometheus.CounterValue, func(s *pterosocket.ServerSnapshot) (float64, bool) {
		return float64(value(&s.Metrics)), true
	}}
}

// stat is a metric that comes with the server's stats, which are known only while it is connected.
func stat(name, help string, kind prometheus.ValueType, value func(*pterosocket.Stats) float64) metric {
	return metric{name, help, kind, func(s *pterosocket.ServerSnapshot) (float64, bool) {
		return value(&s.Stats), hasStats(s)
	}}
}

// hasStats reports whether the daemon has sent stats on the connection that stands.
func hasStats(s *pterosocket.ServerSnapshot) bool {
	return s.Connected && s.Stats != (pterosocket.Stats{})
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func timestamp(t time.Time) (float64, bool) { return float64(t.UnixMilli()) / 1000, !t.IsZero() }
