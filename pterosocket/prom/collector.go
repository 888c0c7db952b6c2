package prom

import (
	"cmp"
	"strings"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pterosocket/pterosocket-go/pterosocket"
)

const (
	// DefaultMaxServers is how many servers have series of their own unless Options says otherwise.
	DefaultMaxServers = 5000
	// maxLabel bounds a label's value, in bytes. Users choose the names of their servers.
	maxLabel = 128
)

// Options of a collector. The zero value is ready to use.
type Options struct {
	// Labels are added to every series, such as {"panel": "eu"}. Collectors in one registry need the same label names
	// with different values, or Register fails. It also fails for the names server, uuid, name, node and state, which
	// are taken.
	Labels prometheus.Labels
	// MaxServers bounds how many servers have series of their own. The first ones have them. 0 or less:
	// DefaultMaxServers.
	MaxServers int
}

// A collector exports servers, and a fleet if there is one. Its fields never change.
type collector struct {
	servers func() []pterosocket.ServerSnapshot
	budget  func() pterosocket.FleetBudget // nil: it is no fleet's
	most    int

	metrics                      []*prometheus.Desc // of package metrics, in their order
	info, state                  *prometheus.Desc
	count, leftOut               *prometheus.Desc
	allowed, asked, waits, spare *prometheus.Desc
}

// NewCollector returns a collector for single connections. The label server is Config.Server as you wrote it. Of several
// connections to one server only the first has series. The collector may be used concurrently, and after the connections
// have ended. It has no goroutine and need not be closed.
func NewCollector(opt Options, connections ...*pterosocket.Commands) prometheus.Collector {
	return newCollector(opt, nil, func() []pterosocket.ServerSnapshot {
		all := make([]pterosocket.ServerSnapshot, len(connections))
		for i, c := range connections {
			all[i] = c.Snapshot()
		}
		return all
	})
}

// NewFleetCollector returns a collector for a fleet and for the servers that the fleet has at the time of each scrape. It
// may be used concurrently, and after the fleet has ended. It has no goroutine and need not be closed. Register it once:
// a second Register of the same fleet with the same Labels fails.
func NewFleetCollector(fleet *pterosocket.Fleet, opt Options) prometheus.Collector {
	return newCollector(opt, fleet.Budget, fleet.Snapshot)
}

func newCollector(opt Options, budget func() pterosocket.FleetBudget, servers func() []pterosocket.ServerSnapshot) *collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("pterosocket_"+name, help, labels, opt.Labels)
	}
	c := &collector{
		servers: servers,
		budget:  budget,
		most:    cmp.Or(max(0, opt.MaxServers), DefaultMaxServers),
		info:    desc("server_info", "The server's identifiers, name and node, as the panel reports them. Always 1.", "server", "uuid", "name", "node"),
		state:   desc("server_state", "1 for the power state that the server is in, 0 for the others. All are 0 while it is not connected.", "server", "state"),
		count:   desc("servers", "Servers, connected or not. One that has ended for good counts until it leaves the fleet."),
		leftOut: desc("servers_left_out", "Servers without series of their own: those beyond MaxServers, and second connections to a server."),
		allowed: desc("fleet_requests_per_minute", "Requests that the fleet may send to the panel in a minute."),
		asked:   desc("fleet_requests_total", "Requests that the fleet has sent to the panel, for lists and tokens."),
		waits:   desc("fleet_requests_waiting", "Requests to the panel that wait for their turn."),
		spare:   desc("fleet_surplus_servers", "Servers that are not connected because the fleet's budget of requests cannot renew their tokens."),
	}
	for _, m := range metrics {
		c.metrics = append(c.metrics, desc(m.name, m.help, "server"))
	}
	return c
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, desc := range append([]*prometheus.Desc{c.info, c.state, c.count, c.leftOut}, c.metrics...) {
		ch <- desc
	}
	if c.budget != nil {
		for _, desc := range []*prometheus.Desc{c.allowed, c.asked, c.waits, c.spare} {
			ch <- desc
		}
	}
}

// Collect implements prometheus.Collector. It takes one snapshot and makes no requests.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	send := func(desc *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
		for i, l := range labels {
			labels[i] = label(l)
		}
		ch <- prometheus.MustNewConstMetric(desc, kind, v, labels...)
	}
	all := c.servers()
	send(c.count, prometheus.GaugeValue, float64(len(all)))
	taken := make(map[string]bool)
	for i := range all[:min(len(all), c.most)] {
		s := &all[i]
		id := label(s.Server.ID)
		if taken[id] { // a series twice would fail the whole scrape
			id = label(s.Server.UUID)
		}
		if id == "" || taken[id] {
			continue
		}
		taken[id] = true
		send(c.info, prometheus.GaugeValue, 1, id, s.Server.UUID, s.Server.Name, s.Server.Node)
		for _, state := range states {
			send(c.state, prometheus.GaugeValue, number(s.State != "" && state == stateOf(s.State)), id, state)
		}
		for i, m := range metrics {
			if v, ok := m.value(s); ok {
				send(c.metrics[i], m.kind, v, id)
			}
		}
	}
	send(c.leftOut, prometheus.GaugeValue, float64(len(all)-len(taken)))
	if c.budget != nil {
		b := c.budget()
		send(c.allowed, prometheus.GaugeValue, float64(b.RequestsPerMinute))
		send(c.asked, prometheus.CounterValue, float64(b.Requests))
		send(c.waits, prometheus.GaugeValue, float64(b.Waiting))
		send(c.spare, prometheus.GaugeValue, float64(b.Surplus))
	}
}

// otherState stands for every state that a daemon may invent.
const otherState = "other"

var states = []string{
	string(pterosocket.StateOffline), string(pterosocket.StateStarting), string(pterosocket.StateRunning),
	string(pterosocket.StateStopping), otherState,
}

func stateOf(s pterosocket.State) string {
	for _, state := range states {
		if state == string(s) {
			return state
		}
	}
	return otherState
}

// label turns a text that others have written into a label's value. It cuts a long text between two characters.
func label(text string) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= maxLabel {
		return text
	}
	end := maxLabel
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end]
}
