// Package prom exports what pterosocket knows of its servers as Prometheus metrics.
//
//	events, fleet, err := pterosocket.ConnectFleet(ctx, cfg)
//	...
//	prometheus.MustRegister(prom.NewFleetCollector(fleet, prom.Options{}))
//	http.Handle("/metrics", promhttp.Handler())
//
// A scrape takes one Snapshot. It makes no requests to the panel or to a daemon. Every series of a server has the label
// server, which is the server's ID. The server's name, node and UUID are labels of pterosocket_server_info alone. So a
// new name does not break the other series, and a query adds the name when it needs it:
//
//	pterosocket_server_memory_bytes * on(server) group_left(name) pterosocket_server_info
//
// What is unknown is absent: a server's resources while it is not connected, its memory limit if it has none. Counters
// begin at zero when the server is added, and again when it is restarted, as rate and increase expect.
//
// In the repository, pterosocket/docs/grafana.json is a dashboard, and pterosocket/docs/alerts.yml has alert rules for
// these metrics.
package prom
