// Package prom exports what pterosocket knows of its servers as Prometheus metrics.
//
//	events, fleet, err := pterosocket.ConnectFleet(ctx, cfg)
//	...
//	prometheus.MustRegister(prom.NewFleetCollector(fleet, prom.Options{}))
//	http.Handle("/metrics", promhttp.Handler())
//
// A scrape takes one Snapshot and asks neither the panel nor a daemon. Every series has the label server, which is the
// server's ID; its name and node are labels of pterosocket_server_info alone, so that a new name breaks no series:
//
//	pterosocket_server_memory_bytes * on(server) group_left(name) pterosocket_server_info
//
// What is unknown is absent: a server's resources while it is not connected, its memory limit while it has none. All
// counters begin at zero with the connection, as rate and increase expect.
//
// docs/grafana.json, beside the other pages, is a dashboard and docs/alerts.yml has alert rules for these metrics.
package prom
