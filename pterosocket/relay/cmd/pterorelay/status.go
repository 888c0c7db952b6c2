package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/pterosocket/pterosocket-go/pterosocket/prom"
	"github.com/pterosocket/pterosocket-go/pterosocket/relay"
)

// A status serves what a relay says about itself.
type status struct {
	mu    sync.Mutex
	relay *relay.Relay // nil: it has not started yet
}

// start is relay.Config.Started.
func (s *status) start(r *relay.Relay) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.relay = r
}

func (s *status) get() *relay.Relay {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.relay
}

// serve serves /metrics and /healthz until stop is called.
func (s *status) serve(address string, log *slog.Logger) (stop func(), err error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("-metrics: %w", err)
	}
	log.Info("serving /metrics and /healthz", "address", listener.Addr().String())
	mux := http.NewServeMux()
	mux.Handle("/metrics", s.metrics())
	mux.HandleFunc("/healthz", s.health)
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := srv.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Error("serving metrics", "error", err)
		}
	}()
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = srv.Shutdown(ctx) // a scrape that takes longer is cut off
		_ = srv.Close()       // see above
		<-done
	}, nil
}

// metrics serves the relay's own metrics, and those of its servers.
func (s *status) metrics() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rel := s.get()
		if rel == nil {
			http.Error(w, "the relay has not started yet", http.StatusServiceUnavailable)
			return
		}
		registry := prometheus.NewRegistry()
		registry.MustRegister(prom.NewFleetCollector(rel.Fleet(), prom.Options{}), collector{rel})
		promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(w, r)
	})
}

// health answers 200 while the relay has its leases, and 503 with the reason otherwise.
func (s *status) health(w http.ResponseWriter, _ *http.Request) {
	rel := s.get()
	if rel == nil {
		http.Error(w, "the relay has not started yet", http.StatusServiceUnavailable)
		return
	}
	switch got := rel.Status(); {
	case !got.Connected:
		http.Error(w, "there is no connection to NATS", http.StatusServiceUnavailable)
	case got.Unsure > 0:
		http.Error(w, fmt.Sprintf("the leases of %d partitions could not be renewed", got.Unsure), http.StatusServiceUnavailable)
	default:
		fmt.Fprintf(w, "ok: %d partitions, %d relays\n", got.Partitions, got.Relays)
	}
}

// A collector exports relay.Status.
type collector struct{ relay *relay.Relay }

var (
	partitions = prometheus.NewDesc("pterorelay_partitions", "Partitions that this relay owns.", nil, nil)
	relays     = prometheus.NewDesc("pterorelay_relays", "Relays that live, with this one.", nil, nil)
	unsure     = prometheus.NewDesc("pterorelay_unsure_partitions", "Partitions whose lease could not be renewed in time.", nil, nil)
	connected  = prometheus.NewDesc("pterorelay_nats_connected", "1 while there is a connection to NATS.", nil, nil)
	held       = prometheus.NewDesc("pterorelay_held_events", "Events that wait to be published.", nil, nil)
	published  = prometheus.NewDesc("pterorelay_published_events_total", "Events published.", nil, nil)
	fenced     = prometheus.NewDesc("pterorelay_fenced_total", "How often another relay had written for a server of this one.", nil, nil)
	failures   = prometheus.NewDesc("pterorelay_publish_failures_total", "Tries to publish that failed.", nil, nil)
)

// Describe is for prometheus.Collector.
func (collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{partitions, relays, unsure, connected, held, published, fenced, failures} {
		ch <- d
	}
}

// Collect is for prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	s := c.relay.Status()
	isConnected := 0.0
	if s.Connected {
		isConnected = 1
	}
	for _, m := range []struct {
		desc  *prometheus.Desc
		kind  prometheus.ValueType
		value float64
	}{
		{partitions, prometheus.GaugeValue, float64(s.Partitions)},
		{relays, prometheus.GaugeValue, float64(s.Relays)},
		{unsure, prometheus.GaugeValue, float64(s.Unsure)},
		{connected, prometheus.GaugeValue, isConnected},
		{held, prometheus.GaugeValue, float64(s.Held)},
		{published, prometheus.CounterValue, float64(s.Published)},
		{fenced, prometheus.CounterValue, float64(s.Fenced)},
		{failures, prometheus.CounterValue, float64(s.Failures)},
	} {
		ch <- prometheus.MustNewConstMetric(m.desc, m.kind, m.value)
	}
}
