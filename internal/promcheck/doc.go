// Package promcheck holds the dashboard and the alert rules in pterosocket/docs against Prometheus itself and against
// the metrics that package prom exports. It has tests only.
package promcheck
