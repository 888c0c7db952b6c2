package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/pterosocket/pterosocket-go/pterosocket/relay"
)

func main() {
	nc, err := nats.Connect("nats://127.0.0.1:14222")
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	ch, err := relay.Subscribe(ctx, nc, relay.SubscribeOptions{From: relay.FromAll(), Servers: os.Args[1:]})
	if err != nil {
		panic(err)
	}
	for m := range ch {
		if m.Event.Name() == "stats" {
			continue
		}
		fmt.Printf("%d %v %T %.150v\n", m.Seq, m.Time.Format("05.000000"), m.Event, m.Event)
	}
}
