package relay

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/pterosocket/pterosocket-go/pterosocket"
)

// Config says which servers a relay connects to, and how it shares them with others. All relays on one NATS must have
// the same Origin, Partitions and Lease.
type Config struct {
	// FleetConfig says which servers there are. Each is called as in a fleet, but After is the relay's to set. Leave
	// Select empty: the relay picks the servers of its partitions. RequestsPerMinute is for all relays together, so each
	// uses its part of it. 0: three quarters of the limit that the panel reports.
	pterosocket.FleetConfig
	// Name appears in logs and in what NATS tells about services. "": the machine's name.
	Name string
	// Partitions is into how many parts the servers are divided. It limits how many relays have work. 0: 64.
	Partitions int
	// Stream says what the stream of events keeps.
	Stream Stream
	// Lease is how long a relay that is gone keeps its partitions. 0: 10 s. At least 1 s.
	Lease time.Duration
	// Started is called once the relay has its fleet, before it connects to a server. Nil: nobody is told.
	Started func(*Relay)
}

// Stream says what the stream of events keeps. If the stream exists, fields that are not zero change it.
type Stream struct {
	MaxAge   time.Duration // 0: a day
	MaxBytes int64         // 0: 1 GiB
	Replicas int           // servers of a NATS cluster that keep a copy; 0: 1
	// OmitStats leaves stats events out of the stream. They make up most of it: one a second for each server. Snapshot
	// has the newest ones anyway.
	OmitStats bool
}

const (
	defaultPartitions = 64
	maxPartitions     = 1024
	defaultLease      = 10 * time.Second
	minLease          = time.Second
	defaultMaxAge     = 24 * time.Hour
	defaultMaxBytes   = 1 << 30
)

// withDefaults checks c and fills in what is missing.
func (c Config) withDefaults() (Config, error) {
	c.Partitions = cmp.Or(c.Partitions, defaultPartitions)
	c.Lease = cmp.Or(c.Lease, defaultLease)
	c.Origin = strings.TrimRight(c.Origin, "/") // relays compare it
	switch {
	case c.Origin == "" || c.APIKey == "":
		return c, fmt.Errorf("%w: Origin or APIKey is missing", pterosocket.ErrInvalidConfig)
	case c.Partitions < 1 || c.Partitions > maxPartitions:
		return c, fmt.Errorf("%w: Partitions: it must be from 1 to %d", pterosocket.ErrInvalidConfig, maxPartitions)
	case c.Lease < minLease:
		return c, fmt.Errorf("%w: Lease: it must be at least %v", pterosocket.ErrInvalidConfig, minLease)
	case c.Select != nil:
		return c, fmt.Errorf("%w: Select: the relay itself picks servers; use Servers, or ErrSkipServer in Each", pterosocket.ErrInvalidConfig)
	case c.Stream.MaxAge < 0 || c.Stream.MaxBytes < 0 || c.Stream.Replicas < 0:
		return c, fmt.Errorf("%w: Stream: a limit is negative", pterosocket.ErrInvalidConfig)
	}
	if c.Name == "" {
		c.Name, _ = os.Hostname()
		c.Name = cmp.Or(c.Name, "relay")
	}
	return c, nil
}

// newInstance returns a name for this run of a relay that no other has.
func newInstance() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // it never fails
	return hex.EncodeToString(b[:])
}
