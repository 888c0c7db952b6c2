package relay

import (
	"hash/fnv"
	"strconv"
	"strings"

	"github.com/pterosocket/pterosocket-go/pterosocket"
)

// The names in NATS. They are fixed, so that a subscriber needs no configuration. Two panels need two accounts.
const (
	streamName  = "PTERO"
	leaseBucket = "ptero-lease" // who owns which partition, and which relays live
	stateBucket = "ptero-state" // the newest snapshot of each server, under its ID
	tokenBucket = "ptero-token" // each server's token, encrypted

	eventPrefix   = "ptero.event."
	commandPrefix = "ptero.command."

	// fleetToken stands for the server in subjects of events about a fleet. No server's ID has an underscore.
	fleetToken = "_"
)

// eventSubject returns the subject of a server's event, such as ptero.event.1a2b3c4d.console_output.
func eventSubject(server, event string) string { return eventPrefix + token(server) + "." + event }

// serverSubjects matches all events of a server.
func serverSubjects(server string) string { return eventPrefix + token(server) + ".>" }

func token(server string) string {
	if server == "" {
		return fleetToken
	}
	return server
}

// commandSubject is where the owner of a server's partition takes requests for it.
func commandSubject(partition int, server string) string {
	return commandPrefix + strconv.Itoa(partition) + "." + server
}

// partitionOf returns the partition of a server, by its ID.
func partitionOf(server string, partitions int) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(server))
	return int(h.Sum32() % uint32(partitions))
}

// isToken reports whether s can be one token of a subject. The identifiers that panels make are: letters, digits and
// hyphens.
func isToken(s string) bool { return s != "" && !strings.ContainsAny(s, " \t\r\n.*>\x00") }

// nameOf returns an event's name in JSON. The daemon's own name of an Unknown may hold anything.
func nameOf(ev pterosocket.Event) string {
	if _, ok := ev.(pterosocket.Unknown); ok {
		return "unknown"
	}
	return ev.Name()
}
