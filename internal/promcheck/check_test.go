package promcheck

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
	"go.uber.org/goleak"

	"github.com/pterosocket/pterosocket-go/pterosocket"
	"github.com/pterosocket/pterosocket-go/pterosocket/prom"
	"github.com/pterosocket/pterosocket-go/pterosocket/pterotest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const docs = "../../pterosocket/docs/"

// exported returns the names of all metrics that a fleet's collector describes.
func exported(t *testing.T) map[string]bool {
	descs := make(chan *prometheus.Desc, 1000)
	prom.NewFleetCollector(new(pterosocket.Fleet), prom.Options{}).Describe(descs)
	close(descs)
	names := make(map[string]bool)
	for d := range descs {
		names[regexp.MustCompile(`fqName: "(\w+)"`).FindStringSubmatch(d.String())[1]] = true
	}
	if len(names) < 30 {
		t.Fatalf("only %d names", len(names))
	}
	return names
}

// checkExpr parses an expression, and finds names that nobody exports.
func checkExpr(t *testing.T, names map[string]bool, expr string) {
	t.Helper()
	parsed, err := parser.ParseExpr(expr)
	if err != nil {
		t.Errorf("%s: %v", expr, err)
		return
	}
	for _, matchers := range parser.ExtractSelectors(parsed) {
		for _, m := range matchers {
			if m.Name == model.MetricNameLabel && !names[m.Value] {
				t.Errorf("%s: nobody exports %s", expr, m.Value)
			}
		}
	}
}

// dashboard is what the tests look at in grafana.json.
type dashboard struct {
	Panels []struct {
		Title, Type string
		Targets     []struct{ Expr string }
		FieldConfig struct {
			Defaults struct {
				Thresholds struct{ Steps []any }
			}
		}
	}
	Templating struct {
		List []struct{ Query any }
	}
}

func readDashboard(t *testing.T) (d dashboard) {
	data, err := os.ReadFile(docs + "grafana.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// filled replaces the variables of the dashboard's queries.
var filled = strings.NewReplacer("$panel", ".*", "$server", ".*", "$__rate_interval", "4m")

// Every query of the dashboard parses, and asks for metrics that exist.
func TestDashboard(t *testing.T) {
	dashboard := readDashboard(t)
	names := exported(t)
	queries := 0
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			checkExpr(t, names, filled.Replace(target.Expr))
			queries++
		}
		if p.Type == "stat" && len(p.FieldConfig.Defaults.Thresholds.Steps) == 0 {
			t.Errorf("%s has no thresholds; by default everything from 80 on is red", p.Title)
		}
	}
	if queries < 15 {
		t.Errorf("only %d queries", queries)
	}
	for _, variable := range dashboard.Templating.List {
		query := fmt.Sprint(variable.Query)
		for _, name := range regexp.MustCompile(`pterosocket_\w+`).FindAllString(query, -1) {
			if !names[name] {
				t.Errorf("%s: nobody exports %s", query, name)
			}
		}
	}
}

// Every panel shows something, also when two programs watch the same servers.
func TestDashboardShowsSomething(t *testing.T) {
	srv := pterotest.NewServer(pterotest.Config{})
	defer srv.Close()
	events, fleet, err := pterosocket.ConnectFleet(t.Context(), pterosocket.FleetConfig{
		Config:            pterosocket.Config{Origin: srv.Origin(), APIKey: srv.APIKey()},
		RequestsPerMinute: 6000,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer fleet.Close()
	for ev := range events {
		if _, ok := ev.Event.(pterosocket.Stats); ok {
			break
		}
	}
	for fleet.Snapshot()[0].Metrics.PingRTT == 0 { // the first ping would take half a minute
		commands, err := fleet.Commands(srv.ServerID())
		if err != nil {
			t.Fatal(err)
		}
		if err := commands.WriteCommand(t.Context(), "list"); err != nil {
			t.Fatal(err)
		}
	}
	one := series(t, prom.NewFleetCollector(fleet, prom.Options{Labels: prometheus.Labels{"panel": "eu", "instance": "a"}}))
	store := promqltest.LoadedStorage(t, "load 1m\n"+one+strings.ReplaceAll(one, `instance="a"`, `instance="b"`))
	defer store.Close()
	engine := promqltest.NewTestEngine(t, false, 0, 10000)
	for _, p := range readDashboard(t).Panels {
		for _, target := range p.Targets {
			query, err := engine.NewInstantQuery(t.Context(), store, nil, filled.Replace(target.Expr), time.Unix(0, 0).Add(10*time.Minute))
			if err != nil {
				t.Fatal(err)
			}
			if result, err := query.Exec(t.Context()).Vector(); err != nil || len(result) == 0 {
				t.Errorf("%s shows %v: %v", p.Title, result, err)
			}
			query.Close()
		}
	}
}

// rules returns the alerts by their names.
func rules(t *testing.T) map[string]rulefmt.Rule {
	data, err := os.ReadFile(docs + "alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	groups, errs := rulefmt.Parse(data, false, model.UTF8Validation)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	all := make(map[string]rulefmt.Rule)
	for _, g := range groups.Groups {
		for _, r := range g.Rules {
			all[r.Alert] = r
		}
	}
	return all
}

// firing returns the alerts that fire after ten minutes of these series, with their servers. for: is not considered.
func firing(t *testing.T, series string) (alerts []string) {
	store := promqltest.LoadedStorage(t, "load 1m\n  "+strings.TrimSpace(series))
	defer store.Close()
	engine := promqltest.NewTestEngine(t, false, 0, 10000)
	for name, rule := range rules(t) {
		query, err := engine.NewInstantQuery(t.Context(), store, nil, rule.Expr, time.Unix(0, 0).Add(10*time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		result, err := query.Exec(t.Context()).Vector()
		if err != nil {
			t.Fatal(err)
		}
		for _, sample := range result {
			alerts = append(alerts, strings.TrimSpace(name+" "+sample.Metric.Get("server")))
		}
		query.Close()
	}
	slices.Sort(alerts)
	return alerts
}

// The rules parse as Prometheus parses them, ask for metrics that exist, and fire when they should and not else.
func TestAlerts(t *testing.T) {
	names := exported(t)
	all := rules(t)
	if len(all) != 5 {
		t.Errorf("%d rules", len(all))
	}
	for rule := range maps.Values(all) {
		checkExpr(t, names, rule.Expr)
	}
	const calm = `
		pterosocket_connected{server="a"} 1x10
		pterosocket_token_expiry_time_seconds{server="a"} 900x10
		pterosocket_events_dropped_total{server="a"} 7x10
		pterosocket_gaps_total{server="a"} 1x10
		pterosocket_fleet_surplus_servers 0x10
	`
	for series, want := range map[string][]string{
		calm:                                     nil,
		`pterosocket_connected{server="a"} 0x10`: {"PterosocketServerNotConnected a"},
		`pterosocket_connected{server="a"} 1x10
		   pterosocket_token_expiry_time_seconds{server="a"} 650x10`: {"PterosocketTokenNotRenewed a"},
		`pterosocket_events_dropped_total{server="a"} 0 0 0 0 0 0 0 0 5 9 9`: {"PterosocketEventsDropped a"},
		`pterosocket_gaps_total{server="a"} 0 0 0 0 0 0 1 1 1 1 1`:           {"PterosocketLinesMayBeMissing a"},
		`pterosocket_fleet_surplus_servers 3x10`:                             {"PterosocketFleetSurplus"},
	} {
		if got := firing(t, series); !slices.Equal(got, want) {
			t.Errorf("%s\nfires %q, not %q", series, got, want)
		}
	}
}

// everFires reports whether an alert fires in twenty minutes of these series. They are scraped at full minutes. The rule
// is evaluated once a minute, as Prometheus does by default, some time after each scrape.
func everFires(t *testing.T, alert, series string, after time.Duration) bool {
	store := promqltest.LoadedStorage(t, "load 1m\n  "+strings.TrimSpace(series))
	defer store.Close()
	engine := promqltest.NewTestEngine(t, false, 0, 10000)
	rule := rules(t)[alert]
	active := time.Duration(-1)
	for at := after; at < 20*time.Minute; at += time.Minute {
		query, err := engine.NewInstantQuery(t.Context(), store, nil, rule.Expr, time.Unix(0, 0).Add(at))
		if err != nil {
			t.Fatal(err)
		}
		result, err := query.Exec(t.Context()).Vector()
		if err != nil {
			t.Fatal(err)
		}
		n := len(result)
		query.Close()
		switch {
		case n == 0:
			active = -1
		case active < 0:
			active = at
		}
		if active >= 0 && at-active >= time.Duration(rule.For) {
			return true
		}
	}
	return false
}

// With the durations of the rules and Prometheus' default intervals, alerts fire in time and not too early.
func TestAlertsInTime(t *testing.T) {
	const token, lost = "PterosocketTokenNotRenewed", "PterosocketServerNotConnected"
	for _, test := range []struct {
		name, alert, series string
		want                bool
	}{
		{"a token ends", token, `pterosocket_connected{server="a"} 1x9 0x9
			pterosocket_token_expiry_time_seconds{server="a"} 599x9 stale`, true},
		{"the same between two scrapes", token, `pterosocket_connected{server="a"} 1x9 0x9
			pterosocket_token_expiry_time_seconds{server="a"} 570x9 stale`, true},
		{"renewed in time, just after a scrape", token, `pterosocket_connected{server="a"} 1x20
			pterosocket_token_expiry_time_seconds{server="a"} 600x8 1082x8 1562x8`, false},
		{"renewed a minute late, after a 429", token, `pterosocket_connected{server="a"} 1x20
			pterosocket_token_expiry_time_seconds{server="a"} 625x9 1163x6 1643x9`, false},
		{"the last servers of a full fleet at its start", lost, `pterosocket_connected{server="a"} 0x7 1x12`, false},
		{"a daemon that is gone", lost, `pterosocket_connected{server="a"} 1 0x20`, true},
	} {
		for _, after := range []time.Duration{0, time.Second, 30 * time.Second, 59 * time.Second} {
			if got := everFires(t, test.alert, test.series, after); got != test.want {
				t.Errorf("%s, %v after a scrape: it fires: %v", test.name, after, got)
			}
		}
	}
}

// A server whose daemon is gone fires its alert, with the series of a real collector.
func TestAlertOfARealFleet(t *testing.T) {
	srv := pterotest.NewServer(pterotest.Config{})
	defer srv.Close()
	other := srv.AddServer(pterotest.ServerConfig{Node: 1})
	events, fleet, err := pterosocket.ConnectFleet(t.Context(), pterosocket.FleetConfig{
		Config:            pterosocket.Config{Origin: srv.Origin(), APIKey: srv.APIKey()},
		RequestsPerMinute: 6000,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer fleet.Close()
	lost := make(chan bool, 1)
	go func() {
		for ev := range events {
			if c, ok := ev.Event.(pterosocket.Close); ok && !c.Final {
				lost <- true
			}
		}
	}()
	if err := fleet.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	collector := prom.NewFleetCollector(fleet, prom.Options{Labels: prometheus.Labels{"panel": "eu"}})
	if got := firing(t, series(t, collector)); len(got) > 0 {
		t.Errorf("while all is well: %q", got)
	}
	srv.SetNodeDown(1, true)
	<-lost
	want := []string{"PterosocketServerNotConnected " + other.ServerID()}
	if got := firing(t, series(t, collector)); !slices.Equal(got, want) {
		t.Errorf("with a daemon down: %q, not %q", got, want)
	}
}

// series returns what a collector exports as series that stay the same for ten minutes. Points in time are moved as if
// the ten minutes had been the last ones.
func series(t *testing.T, c prometheus.Collector) string {
	reg := prometheus.NewRegistry()
	reg.MustRegister(c)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	moved := float64(time.Now().Add(-10 * time.Minute).Unix())
	var all strings.Builder
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var ls []labels.Label
			for _, l := range m.GetLabel() {
				ls = append(ls, labels.Label{Name: l.GetName(), Value: l.GetValue()})
			}
			v := m.GetGauge().GetValue() + m.GetCounter().GetValue() // one of them is 0
			if strings.HasSuffix(f.GetName(), "_time_seconds") {
				v -= moved
			}
			fmt.Fprintf(&all, "  %s%s %fx10\n", f.GetName(), labels.New(ls...), v)
		}
	}
	return all.String()
}
