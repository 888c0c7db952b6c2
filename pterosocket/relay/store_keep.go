package relay

import (
	"context"
	"sync"
)

// keepStore looks whether the stream and the buckets are still there, and makes them again if not: somebody may have
// deleted them, or NATS may have come back with an empty folder. It also notices the end of the connection.
func (r *Relay) keepStore(ctx context.Context) {
	isClosed := sync.OnceFunc(func() { close(r.closed) })
	every(ctx, r.cfg.Lease, func() {
		if r.nc.IsClosed() {
			isClosed()
		}
		if !r.nc.IsConnected() {
			return
		}
		limited, cancel := context.WithTimeout(ctx, publishTimeout)
		defer cancel()
		isMissing, err := r.store.isMissing(limited)
		if isMissing {
			r.log.Warn("the stream or a bucket is gone from NATS; making it again")
			_, err = openStore(limited, r.nc, r.cfg)
		}
		if err != nil && ctx.Err() == nil {
			r.log.Warn("NATS cannot be used", "error", explain(err))
		}
	})
}
