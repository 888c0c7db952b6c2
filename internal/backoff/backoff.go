// Package backoff computes how long to wait before the next attempt: exponential, with full jitter, so that many
// clients that lost one daemon together do not come back together.
package backoff

import (
	"context"
	"math/rand/v2"
	"time"
)

// Backoff counts failures. The zero value of its counter is ready; it is not safe for concurrent use.
type Backoff struct {
	Min, Max time.Duration
	failures int
}

// Next returns a random delay below min(Max, Min * 2^failures), and counts one failure more.
func (b *Backoff) Next() time.Duration {
	window := b.Min << b.failures
	if window>>b.failures != b.Min || window > b.Max { // shifted out of its bits, or too long
		window = b.Max
	}
	b.failures++
	return rand.N(window) + 1
}

// Skip counts failures up to the n-th without waiting, which widens the next window.
func (b *Backoff) Skip(n int) { b.failures = max(b.failures, n) }

// Reset forgets the failures.
func (b *Backoff) Reset() { b.failures = 0 }

// Sleep waits for d, or until ctx ends, whose cause it returns then.
func Sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 { // a timer that has ended when it is waited for can crash the race detector in a synctest bubble
		return context.Cause(ctx)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
