package prom_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/pterosocket/pterosocket-go/pterosocket"
	"github.com/pterosocket/pterosocket-go/pterosocket/prom"
	"github.com/pterosocket/pterosocket-go/pterosocket/pterotest"
)

// An exporter for all servers of a key.
func ExampleNewFleetCollector() {
	panel := pterotest.NewServer(pterotest.Config{}) // in real life: your panel
	defer panel.Close()

	events, fleet, err := pterosocket.ConnectFleet(context.Background(), pterosocket.FleetConfig{
		Config: pterosocket.Config{Origin: panel.Origin(), APIKey: panel.APIKey()},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer fleet.Close()
	go func() {
		for range events { // an exporter needs none of them
		}
	}()
	registry := prometheus.NewRegistry()
	registry.MustRegister(prom.NewFleetCollector(fleet, prom.Options{Labels: prometheus.Labels{"panel": "eu"}}))
	handler := promhttp.HandlerFor(registry, promhttp.HandlerOpts{}) // http.Handle("/metrics", handler)

	scrape := httptest.NewRecorder()
	handler.ServeHTTP(scrape, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	fmt.Println(scrape.Code)
	// Output: 200
}
