package pterotest

import (
	"cmp"
	"time"
)

// Dialect is a family of panels and daemons.
type Dialect int

// The families.
const (
	// Pterodactyl is Pterodactyl's panel and Wings 1.11. It has no limits and no compression. Connections stay open
	// when the server is suspended.
	Pterodactyl Dialect = iota
	// Pelican is Pelican's panel and Wings, and also Pterodactyl since 1.12. It has message limits with throttled
	// frames, at most 30 sockets a server, frames of at most 4,096 bytes, close code 4409 when suspended, and
	// permessage-deflate.
	Pelican
	// Calagopus is Calagopus' panel and Wings, known from its source. It has flat credentials, no Origin check, and its
	// own events and closes.
	Calagopus
)

// String returns the panel's name.
func (d Dialect) String() string {
	switch d {
	case Pterodactyl:
		return "Pterodactyl"
	case Pelican:
		return "Pelican"
	case Calagopus:
		return "Calagopus"
	}
	return "unknown"
}

// daemonName stands in the daemon's own console lines.
func (d Dialect) daemonName() string {
	switch d {
	case Pelican:
		return "pelican"
	case Calagopus:
		return "Calagopus"
	default:
		return "Pterodactyl"
	}
}

// Config says what a Server is like. The zero value is a running server on Pterodactyl, over loopback.
type Config struct {
	Dialect  Dialect
	InMemory bool // a network in memory instead of loopback; for testing/synctest

	APIKey        string        // "": one is made up
	ServerID      string        // the short identifier; "": one is made up
	Origin        string        // the Origin header that the daemon wants; "": Server.Origin
	AnyOrigin     bool          // the daemon takes any Origin or none: its allowed_origins has "*"
	Permissions   []string      // of the API key's user; nil: "*" and the admin.websocket ones
	TokenLifetime time.Duration // 0: 10 minutes
	ClockOffset   time.Duration // how far the panel's and the daemon's clocks are ahead of the local one
	HistoryLines  int           // how many lines "send logs" replays; 0: 150

	Offline    bool          // the server is offline at the start, not running
	StartDelay time.Duration // from starting to running; 0: 150 ms
	StopDelay  time.Duration // from stopping to offline; 0: StartDelay
	// Game answers a command with lines for the console. It is called for one command after the other, in the order in
	// which they reached the game. Nil: the game prints the command itself, as the recorded game did.
	Game func(command string) []string
	// StartLines are what the game prints when it starts. StartDelay passes before the last line. Nil: what the
	// recorded game printed.
	StartLines []string
	// Stats returns what stats frames say while the server is not offline. Nil: what the recorded game's frames said.
	Stats func(state string, uptime time.Duration) Stats
	// StatsEvery is how often stats frames come. 0: every second, as on real daemons.
	StatsEvery time.Duration
	// OnMessage is called for each message from a client before it is handled, in the goroutine that handles it. If it
	// delays some messages, others overtake them, as on a real daemon.
	OnMessage func(Message)

	// Reorder starts the goroutine of each message up to 5 ms late, some later than others, as a real daemon's
	// scheduler does. So commands that arrive together run in any order. Commands 5 ms apart keep their order.
	Reorder bool
	// Bunch makes the network forward data only at whole multiples of this time, in both directions. 0: at once.
	Bunch time.Duration

	// PanelLimit is how many requests a minute (Calagopus: in 30 seconds) the panel takes from the user. If it is set,
	// the panel tells its limits in headers and gives out five tokens a minute for a server, as real panels do. 0: no
	// limits.
	PanelLimit int
	Admin      bool // the user is an administrator and may list every server of the panel

	// NoLimits switches off the message limits of the Pelican dialect. Limits switches them on for Pterodactyl.
	NoLimits, Limits bool
	// DropSlowReaders drops console lines for a client that reads 10 ms late, and status, stats and backup events at
	// once, as daemons do. It is off by default, since under load any client can be that late.
	DropSlowReaders bool
}

func (c Config) withDefaults() Config {
	c.APIKey = cmp.Or(c.APIKey, "ptlc_pterotest")
	c.ServerID = cmp.Or(c.ServerID, "a0000001")
	c.StatsEvery = cmp.Or(c.StatsEvery, time.Second)
	c.TokenLifetime = cmp.Or(c.TokenLifetime, 10*time.Minute)
	c.HistoryLines = cmp.Or(c.HistoryLines, 150)
	c.StartDelay = cmp.Or(c.StartDelay, 150*time.Millisecond)
	c.StopDelay = cmp.Or(c.StopDelay, c.StartDelay)
	if c.StartLines == nil {
		c.StartLines = []string{"Starting fake game server version 1.0", "Loading world \x1b[32m\"world\"\x1b[0m", `Done (0.150s)! For help, type "help"`}
	}
	if c.Permissions == nil {
		c.Permissions = []string{"*", "admin.websocket.errors", "admin.websocket.install", "admin.websocket.transfer"}
	}
	return c
}
