package pterosocket

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/pterosocket/pterosocket-go/internal/panel"
)

// ErrSkipServer is what FleetConfig.Each returns to leave a server out.
var ErrSkipServer = errors.New("the server is left out of the fleet")

// FleetConfig says what ConnectFleet watches, and how.
type FleetConfig struct {
	// Config is for every server. Leave Server, Credentials, Token and After empty. Each can set the last three for one
	// server. Config.QueueSize, not the QueueSize below, limits what one server may have queued. ConnectTimeout limits
	// only the lookup of the servers. The fleet tries to connect to them for as long as it lives.
	Config
	// Servers are identifiers or UUIDs. Empty: all servers that ListServers finds or, with Admin, ListAllServers.
	Servers []string
	// Admin asks for all servers of the panel, not only the user's own. The key's user must be an administrator.
	Admin bool
	// Refresh is how often the fleet asks the panel again for the servers, their names, nodes and states. 0: 5 minutes.
	// Negative: only once.
	Refresh time.Duration
	// Each is called before the fleet connects to a server, in that server's goroutine. So calls for different servers
	// may be concurrent. Each may change the server's Config, which is the Config above with Server filled in.
	// ConnectTimeout is not used there. ErrSkipServer leaves the server out. Any other error ends the server. Each must
	// return when ctx ends. It must not call Fleet.Close or Shutdown, which would wait for it. Nil: nothing is changed.
	Each func(ctx context.Context, server Server, cfg *Config) error
	// Select picks the fleet's servers from those that the panel lists. It is called for each of them, with every list
	// and by Fleet.Reselect, one call at a time. It must return at once and call no method of the Fleet. Fleet.Add does
	// not ask it. Nil: all servers are picked.
	Select func(Server) bool
	// RequestsPerMinute limits the requests to the panel, for all servers together. A server needs about one in eight
	// minutes. 0: three quarters of the limit that the panel reports, and 180 until it has reported one.
	RequestsPerMinute int
	// QueueSize and QueueBytes limit what is kept for a slow consumer, for all servers together. 0: 65,536 events and
	// 64 MiB.
	QueueSize, QueueBytes int
}

// Server is what a panel reports about a server.
type Server struct {
	ID          string `json:"id"`   // the short identifier
	UUID        string `json:"uuid"` // the long one
	Name        string `json:"name"`
	Node        string `json:"node"` // the node's name
	Description string `json:"description"`
	Status      string `json:"status"` // such as installing or suspended; "" if the server is ready
	Owner       bool   `json:"owner"`  // the key's user owns it
	// While one of these is true, it is not possible to connect to the server.
	Suspended    bool         `json:"suspended"`
	Installing   bool         `json:"installing"`
	Transferring bool         `json:"transferring"`
	Limits       ServerLimits `json:"limits"`
}

// ServerLimits are what a server may use. 0 means no limit.
type ServerLimits struct {
	MemoryMiB  int64 `json:"memory_mib"`
	SwapMiB    int64 `json:"swap_mib"` // negative: no limit
	DiskMiB    int64 `json:"disk_mib"`
	CPUPercent int64 `json:"cpu_percent"` // 100 is one core
}

func toServer(s panel.Server) Server {
	return Server{
		ID: s.ID, UUID: s.UUID, Name: s.Name, Node: s.Node, Description: s.Description, Status: s.Status, Owner: s.Owner,
		Suspended: s.Suspended, Installing: s.Installing, Transferring: s.Transferring,
		Limits: ServerLimits{MemoryMiB: s.Limits.Memory, SwapMiB: s.Limits.Swap, DiskMiB: s.Limits.Disk, CPUPercent: s.Limits.CPU},
	}
}

// isAvailable reports whether the panel hands out tokens for the server.
func (s Server) isAvailable() bool { return !s.Suspended && !s.Installing && !s.Transferring }

// withDefaults checks c and fills in what is missing.
func (c FleetConfig) withDefaults() (FleetConfig, error) {
	var err error
	if c.Config, err = c.Config.forPanel(); err != nil {
		return c, err
	}
	for _, name := range c.Servers {
		if name == "" || strings.ContainsFunc(name, notIdentifier) {
			return c, fmt.Errorf("%w: Servers: %q must be an identifier or UUID: letters, digits and hyphens", ErrInvalidConfig, printable(name, 64))
		}
	}
	switch {
	case c.After != nil || c.Token != IssuedToken{}:
		return c, fmt.Errorf("%w: After or Token: it is for one server; set it in Each", ErrInvalidConfig)
	case c.RequestsPerMinute < 0 || c.QueueSize < 0 || c.QueueBytes < 0:
		return c, fmt.Errorf("%w: RequestsPerMinute, QueueSize or QueueBytes: it is negative", ErrInvalidConfig)
	}
	c.Refresh = cmp.Or(c.Refresh, 5*time.Minute)
	c.QueueSize = cmp.Or(c.QueueSize, 65_536)
	c.QueueBytes = cmp.Or(c.QueueBytes, 64<<20)
	return c, nil
}

// forPanel checks a Config that is not for a single server, and fills in what is missing.
func (c Config) forPanel() (Config, error) {
	switch {
	case c.Server != "":
		return c, fmt.Errorf("%w: Server: it stays empty; name servers in FleetConfig.Servers", ErrInvalidConfig)
	case c.Credentials != nil:
		return c, fmt.Errorf("%w: Credentials: they are for one server; set them in FleetConfig.Each", ErrInvalidConfig)
	}
	c.Server = "any"
	c, err := c.withDefaults()
	c.Server = ""
	return c, err
}

// shown returns the fields that printing, logging and marshalling show.
func (c FleetConfig) shown() any {
	return struct {
		Config                                   any
		Servers                                  []string
		Admin                                    bool
		Refresh                                  time.Duration
		HasEach, HasSelect                       bool
		RequestsPerMinute, QueueSize, QueueBytes int
	}{c.Config.shown(), c.Servers, c.Admin, c.Refresh, c.Each != nil, c.Select != nil, c.RequestsPerMinute, c.QueueSize, c.QueueBytes}
}

// Format prints the config without its API key, for every verb.
func (c FleetConfig) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "pterosocket.FleetConfig%+v", c.shown())
}

// LogValue returns the config without its API key.
func (c FleetConfig) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(c)) }

// MarshalJSON returns the config without its API key.
func (c FleetConfig) MarshalJSON() ([]byte, error) { return json.Marshal(c.shown()) }
