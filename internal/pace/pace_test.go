package pace

import (
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/time/rate"

	"github.com/pterosocket/pterosocket-go/internal/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// What the pacer lets through, a daemon's limits let through too, and an urgent message hardly ever waits.
func TestStaysBelowTheDaemonsLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, all, commands := New(false), rate.NewLimiter(5, 10), rate.NewLimiter(1, 10)
		for i := range 500 {
			event, urgent := wire.SendCommand, i%50 == 49
			if urgent {
				event = wire.SetState
			}
			start := time.Now()
			for d := p.Delay(time.Now(), event, urgent); d > 0; d = p.Delay(time.Now(), event, urgent) {
				time.Sleep(d)
			}
			if d := time.Since(start); urgent && d > 0 {
				t.Errorf("an urgent message waited for %v", d)
			}
			p.Spend(time.Now(), event)
			if !all.Allow() || !urgent && !commands.Allow() {
				t.Fatalf("message %d is over the limit", i)
			}
			if i == 100 {
				p.Throttled(time.Now())
				if d := p.Delay(time.Now(), wire.SendCommand, false); d < throttlePause {
					t.Errorf("after throttled: %v", d)
				}
			}
		}
		if d := New(true).Delay(time.Now(), wire.SendCommand, false); d != 0 {
			t.Errorf("without limits: %v", d)
		}
	})
}
