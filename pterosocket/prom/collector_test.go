package prom_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"go.uber.org/goleak"

	"github.com/pterosocket/pterosocket-go/pterosocket"
	"github.com/pterosocket/pterosocket-go/pterosocket/prom"
	"github.com/pterosocket/pterosocket-go/pterosocket/pterotest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fleetOf returns a fleet of all servers of a fake panel, connected. see sees its events, one after the other.
func fleetOf(t *testing.T, srv *pterotest.Server, see func(pterosocket.FleetEvent)) *pterosocket.Fleet {
	cfg := pterosocket.FleetConfig{
		Config:            pterosocket.Config{Origin: srv.Origin(), APIKey: srv.APIKey()},
		RequestsPerMinute: 60_000,
	}
	events, fleet, err := pterosocket.ConnectFleet(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = fleet.Close() })
	go func() {
		for ev := range events {
			see(ev)
		}
	}()
	if err := fleet.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	return fleet
}

func ignore(pterosocket.FleetEvent) {}

// scrape returns what Prometheus gets, by the metrics' names.
func scrape(t *testing.T, c prometheus.Collector) map[string]*dto.MetricFamily {
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(c)
	srv := httptest.NewServer(promhttp.HandlerFor(reg, promhttp.HandlerOpts{ErrorHandling: promhttp.HTTPErrorOnError}))
	defer srv.Close()
	defer http.DefaultClient.CloseIdleConnections()
	res, err := http.Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatal(res.Status, err)
	}
	return families
}

// value returns the one that has these labels, as name=value.
func value(families map[string]*dto.MetricFamily, name string, labels ...string) string {
	for _, m := range families["pterosocket_"+name].GetMetric() {
		have := make(map[string]bool)
		for _, l := range m.GetLabel() {
			have[l.GetName()+"="+l.GetValue()] = true
		}
		matches := true
		for _, l := range labels {
			matches = matches && have[l]
		}
		if matches {
			return fmt.Sprint(m.GetGauge().GetValue() + m.GetCounter().GetValue()) // one of them is 0
		}
	}
	return "none"
}

// A scrape with a hundred servers has what each of them says, and passes the linter.
func TestFleetCollector(t *testing.T) {
	srv := pterotest.NewServer(pterotest.Config{Stats: func(string, time.Duration) pterotest.Stats {
		return pterotest.Stats{MemoryBytes: 1 << 20, CPUAbsolute: 250, DiskBytes: 7, RxBytes: 11, TxBytes: 13}
	}})
	defer srv.Close()
	srv.SetName("\"Günther's\"\n\xff" + strings.Repeat("x", 1000))
	const servers = 100
	var last *pterotest.Server
	for range servers - 1 {
		last = srv.AddServer(pterotest.ServerConfig{Node: 3, Offline: true})
	}
	lines, stats := make(chan string, 2), make(chan bool, 1)
	fleet := fleetOf(t, srv, func(ev pterosocket.FleetEvent) {
		switch event := ev.Event.(type) {
		case pterosocket.ConsoleOutput:
			lines <- event.Line
		case pterosocket.Stats:
			if ev.Server == srv.ServerID() {
				select {
				case stats <- true:
				default:
				}
			}
		}
	})
	srv.Print("a line", "another")
	<-lines
	<-lines
	<-stats
	collector := prom.NewFleetCollector(fleet, prom.Options{Labels: prometheus.Labels{"panel": "eu"}})
	got := scrape(t, collector)
	id := "server=" + srv.ServerID()
	for _, want := range []struct{ name, label, value string }{
		{"servers", "panel=eu", "100"},
		{"servers_left_out", "", "0"},
		{"connected", id, "1"},
		{"server_state", id + " state=running", "1"},
		{"server_state", id + " state=offline", "0"},
		{"server_state", "server=" + last.ServerID() + " state=offline", "1"},
		{"server_info", "server=" + last.ServerID() + " node=Node 4", "1"},
		{"console_lines_total", id, "2"},
		{"credential_requests_total", id, "1"},
		{"gaps_total", id, "0"},
		{"server_cpu_cores", id, "2.5"},
		{"server_memory_bytes", id, fmt.Sprint(float64(1 << 20))},
		{"server_memory_limit_bytes", id, "none"},
		{"server_network_receive_bytes_total", id, "11"},
		{"server_network_transmit_bytes_total", id, "13"},
		{"server_disk_bytes", id, "7"},
		{"fleet_requests_per_minute", "", "60000"},
		{"fleet_requests_total", "", fmt.Sprint(servers + 1)},
		{"fleet_surplus_servers", "", "0"},
	} {
		labels := strings.Split(want.label, " ")
		if want.label == "" {
			labels = nil
		}
		if strings.HasSuffix(want.label, "node=Node 4") {
			labels = []string{"server=" + last.ServerID(), "node=Node 4"}
		}
		if v := value(got, want.name, labels...); v != want.value {
			t.Errorf("%s{%s} is %s, not %s", want.name, want.label, v, want.value)
		}
	}
	if n := len(got["pterosocket_connected"].GetMetric()); n != servers {
		t.Errorf("%d servers have series", n)
	}
	problems, err := testutil.CollectAndLint(collector)
	if err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
}

// While a server is not connected, its resources are absent; counters stay.
func TestCollector(t *testing.T) {
	srv := pterotest.NewServer(pterotest.Config{})
	defer srv.Close()
	cfg := pterosocket.Config{Origin: srv.Origin(), APIKey: srv.APIKey(), Server: srv.ServerID()}
	events, commands, err := pterosocket.Connect(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	for ev := range events {
		if _, ok := ev.(pterosocket.Stats); ok {
			break
		}
	}
	go func() {
		for range events {
		}
	}()
	collector := prom.NewCollector(prom.Options{}, commands)
	got := scrape(t, collector)
	id := "server=" + srv.ServerID()
	if m, expires := value(got, "server_memory_bytes", id), value(got, "token_expiry_time_seconds", id); m == "none" || expires == "none" {
		t.Errorf("memory %s, the token's end %s", m, expires)
	}
	if got["pterosocket_fleet_requests_total"] != nil {
		t.Error("a single connection has no fleet")
	}
	if err := commands.Close(); err != nil {
		t.Fatal(err)
	}
	got = scrape(t, collector)
	for name, want := range map[string]string{
		"connected": "0", "server_memory_bytes": "none", "server_uptime_seconds": "none", "token_expiry_time_seconds": "none",
		"credential_requests_total": "1", "servers": "1",
	} {
		if v := value(got, name); v != want {
			t.Errorf("after the end %s is %s", name, v)
		}
	}
	// There is no series with an unknown state.
	if v := value(got, "server_state", "state=running"); v != "0" {
		t.Errorf("after the end it runs: %s", v)
	}
}

// However many servers a panel has, and however they are called, the scrape stays within bounds and works.
func TestBoundedCardinality(t *testing.T) {
	srv := pterotest.NewServer(pterotest.Config{})
	defer srv.Close()
	for range 9 {
		srv.AddServer(pterotest.ServerConfig{Offline: true})
	}
	fleet := fleetOf(t, srv, ignore)
	got := scrape(t, prom.NewFleetCollector(fleet, prom.Options{MaxServers: 4}))
	if n := len(got["pterosocket_connected"].GetMetric()); n != 4 {
		t.Errorf("%d servers have series", n)
	}
	if all, out := value(got, "servers"), value(got, "servers_left_out"); all != "10" || out != "6" {
		t.Errorf("%s servers, %s left out", all, out)
	}
	got = scrape(t, prom.NewFleetCollector(fleet, prom.Options{MaxServers: -1})) // as if it were not set
	if n := len(got["pterosocket_connected"].GetMetric()); n != 10 {
		t.Errorf("with a negative bound %d servers have series", n)
	}
}

// Several collectors work in one registry if their labels have the same names and other values.
func TestOneRegistry(t *testing.T) {
	srv := pterotest.NewServer(pterotest.Config{})
	defer srv.Close()
	fleet := fleetOf(t, srv, ignore)
	reg := prometheus.NewPedanticRegistry()
	for _, test := range []struct {
		labels prometheus.Labels
		ok     bool
	}{
		{prometheus.Labels{"panel": "eu"}, true},
		{prometheus.Labels{"panel": "us"}, true},
		{prometheus.Labels{"panel": "us"}, false},
		{prometheus.Labels{"region": "us"}, false},
		{prometheus.Labels{"server": "us"}, false},
		{nil, false},
	} {
		if err := reg.Register(prom.NewFleetCollector(fleet, prom.Options{Labels: test.labels})); (err == nil) != test.ok {
			t.Errorf("%v: %v", test.labels, err)
		}
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "pterosocket_connected" && len(f.GetMetric()) != 2 {
			t.Errorf("two panels with a server each have %v", f.GetMetric())
		}
	}
}

// A long name is cut between two of its characters, and what was not UTF-8 does not make it longer.
func TestLongNames(t *testing.T) {
	srv := pterotest.NewServer(pterotest.Config{})
	defer srv.Close()
	srv.SetName("x" + strings.Repeat("世", 100))
	bad := srv.AddServer(pterotest.ServerConfig{Name: strings.Repeat("a\xff", 100)})
	got := scrape(t, prom.NewFleetCollector(fleetOf(t, srv, ignore), prom.Options{}))
	for id, name := range map[string]string{
		srv.ServerID(): "x" + strings.Repeat("世", 42),
		bad.ServerID(): strings.Repeat("a\uFFFD", 32),
	} {
		if value(got, "server_info", "server="+id, "name="+name) != "1" {
			t.Errorf("%s is not called %s: %v", id, name, got["pterosocket_server_info"])
		}
	}
}

// A second connection to a server has no series, under no name at all either, and is counted as left out.
func TestConnectionsToOneServer(t *testing.T) {
	srv := pterotest.NewServer(pterotest.Config{})
	defer srv.Close()
	var connections []*pterosocket.Commands
	for range 3 {
		events, commands, err := pterosocket.Connect(t.Context(), pterosocket.Config{
			Origin: srv.Origin(), APIKey: srv.APIKey(), Server: srv.ServerID(),
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = commands.Close() })
		go func() {
			for range events {
			}
		}()
		connections = append(connections, commands)
	}
	got := scrape(t, prom.NewCollector(prom.Options{}, connections...))
	if n := len(got["pterosocket_connected"].GetMetric()); n != 1 {
		t.Errorf("%d servers have series", n)
	}
	if v := value(got, "connected", "server="+srv.ServerID()); v != "1" {
		t.Errorf("the first connection is shown as %s", v)
	}
	if all, out := value(got, "servers"), value(got, "servers_left_out"); all != "3" || out != "2" {
		t.Errorf("%s servers, %s left out", all, out)
	}
}

// The page on metrics lists every metric that is exported, and no other.
func TestMetricsAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := make(map[string]bool)
	for _, row := range regexp.MustCompile("(?m)^\\| (`[a-z][^|]*) \\|").FindAllStringSubmatch(string(page), -1) {
		for _, name := range regexp.MustCompile("`([a-z_]+)").FindAllStringSubmatch(row[1], -1) {
			documented["pterosocket_"+name[1]] = true
		}
	}
	descs := make(chan *prometheus.Desc, 1000)
	prom.NewFleetCollector(new(pterosocket.Fleet), prom.Options{}).Describe(descs)
	close(descs)
	for d := range descs {
		name := regexp.MustCompile(`fqName: "(\w+)"`).FindStringSubmatch(d.String())[1]
		if !documented[name] {
			t.Errorf("%s is not in docs/metrics.md", name)
		}
		delete(documented, name)
	}
	for name := range documented {
		t.Errorf("docs/metrics.md lists %s, which nobody exports", name)
	}
}
