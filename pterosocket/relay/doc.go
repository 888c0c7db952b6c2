// Package relay shares the game servers of a panel among several processes, on several machines, by way of NATS
// JetStream. It builds on pterosocket.ConnectFleet.
//
// Each process calls Run. The servers are divided into partitions, and each relay owns some of them: a lease in NATS
// says so. A relay connects to its servers and writes their events into one stream, each once and in order. When a relay
// dies, the others take its servers over when its lease ends, and go on behind the last line in the stream.
//
//	err := relay.Run(ctx, nc, relay.Config{FleetConfig: pterosocket.FleetConfig{Config: pterosocket.Config{
//		Origin: "https://panel.example.com", APIKey: "ptlc_...",
//	}}})
//
// Any number of consumers read the stream with Subscribe, which returns a channel of the events that ConnectFleet's
// channel has. NewCommands sends to a server, with the methods and errors of pterosocket.Commands. Snapshot returns what
// is known of all servers. None of these needs the panel or its key.
//
// NATS 2.12 or later with JetStream is needed. The program pterorelay is Run with flags, and has a NATS server inside.
// In the repository, pterosocket/docs/relay.md tells all that one needs to know to operate it.
package relay
