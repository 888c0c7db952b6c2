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
	// Config is for every server. Server, Credentials and After stay empty: Each sets them where they are wanted.
	// QueueSize, when it is named as Config.QueueSize, bounds what one server may have queued. ConnectTimeout bounds the
	// lookup of the servers; they themselves are tried for as long as the fleet lives.
	Config
	// Servers are identifiers or UUIDs. Empty: all that ListServers finds, or ListAllServers with Admin.
	Servers []string
	// Admin: all servers of the panel, not only the user's own. The key's user must be an administrator.
	Admin bool
	// Refresh is how often the panel is asked again which servers there are, and what their names, nodes and states are.
	// 0: 5 minutes; negative: only once.
	Refresh time.Duration
	// Each is called before a server is connected to, in a goroutine of that server, and may change its Config: the one
	// above, with Server filled in. ConnectTimeout is not used. ErrSkipServer leaves the server out; another error ends it.
	// Each obeys ctx, and does not call Fleet.Close or Shutdown, which would wait for it. Nil: nothing is changed.
	Each func(ctx context.Context, server Server, cfg *Config) error
	// RequestsPerMinute are the requests to the panel for all servers together. A server needs about one in eight minutes.
	// 0: three quarters of what the panel says that it allows, 180 until it has said so.
	RequestsPerMinute int
	// QueueSize and QueueBytes bound what is kept for a slow consumer, all servers together. 0: 65,536 events and 64 MiB.
	QueueSize, QueueBytes int
}

// Server is what a panel tells of a server.
type Server struct {
	ID          string `json:"id"`   // the short identifier
	UUID        string `json:"uuid"` // the long one
	Name        string `json:"name"`
	Node        string `json:"node"` // the node's name
	Description string `json:"description"`
	Status      string `json:"status"` // what it is instead of ready, such as installing or suspended; "" when nothing is the matter
	Owner       bool   `json:"owner"`  // the key's user is its owner
	// While one of these is true a server cannot be connected to.
	Suspended    bool         `json:"suspended"`
	Installing   bool         `json:"installing"`
	Transferring bool         `json:"transferring"`
	Limits       ServerLimits `json:"limits"`
}

// ServerLimits are what a server may use; 0: there is no limit.
type ServerLimits struct {
	MemoryMiB  int64 `json:"memory_mib"`
	SwapMiB    int64 `json:"swap_mib"` // negative: there is no limit
	DiskMiB    int64 `json:"disk_mib"`
	CPUPercent int64 `json:"cpu_percent"` // 100 is a core
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
	case c.After != nil:
		return c, fmt.Errorf("%w: After: it is for one server; set it in Each", ErrInvalidConfig)
	case c.RequestsPerMinute < 0 || c.QueueSize < 0 || c.QueueBytes < 0:
		return c, fmt.Errorf("%w: RequestsPerMinute, QueueSize or QueueBytes: it is negative", ErrInvalidConfig)
	}
	c.Refresh = cmp.Or(c.Refresh, 5*time.Minute)
	c.QueueSize = cmp.Or(c.QueueSize, 65_536)
	c.QueueBytes = cmp.Or(c.QueueBytes, 64<<20)
	return c, nil
}

// forPanel checks a Config that is for no server, and fills in what is missing.
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

// shown is what a FleetConfig shows of itself.
func (c FleetConfig) shown() any {
	return struct {
		Config                                   any
		Servers                                  []string
		Admin                                    bool
		Refresh                                  time.Duration
		HasEach                                  bool
		RequestsPerMinute, QueueSize, QueueBytes int
	}{c.Config.shown(), c.Servers, c.Admin, c.Refresh, c.Each != nil, c.RequestsPerMinute, c.QueueSize, c.QueueBytes}
}

// Format prints the config without its API key, whatever the verb.
func (c FleetConfig) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "pterosocket.FleetConfig%+v", c.shown())
}

// LogValue returns the config without its API key.
func (c FleetConfig) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(c)) }

// MarshalJSON returns the config without its API key.
func (c FleetConfig) MarshalJSON() ([]byte, error) { return json.Marshal(c.shown()) }
