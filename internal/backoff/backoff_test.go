package backoff

import (
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestWindowsGrowToMax(t *testing.T) {
	for range 200 {
		b := Backoff{Min: 500 * time.Millisecond, Max: 30 * time.Second}
		for i, window := range []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 30 * time.Second, 30 * time.Second} {
			if got := b.Next(); got <= 0 || got > window {
				t.Fatalf("delay %d is %v, window %v", i, got, window)
			}
		}
	}
}

func TestLongFailureStaysAtMax(t *testing.T) {
	b := Backoff{Min: time.Second, Max: time.Minute}
	longest := time.Duration(0)
	for range 10_000 {
		d := b.Next()
		if d <= 0 || d > time.Minute {
			t.Fatalf("delay %v", d)
		}
		longest = max(longest, d)
	}
	if longest < 50*time.Second {
		t.Errorf("the longest of 10,000 delays is %v: not spread over the whole window", longest)
	}
}

func TestSkipAndReset(t *testing.T) {
	b := Backoff{Min: time.Nanosecond, Max: time.Hour}
	b.Skip(100)
	longest := time.Duration(0)
	for range 1000 {
		longest = max(longest, b.Next())
	}
	if longest < time.Minute {
		t.Errorf("Skip did not widen the window: longest delay %v", longest)
	}
	b.Reset()
	if d := b.Next(); d > time.Nanosecond {
		t.Errorf("after Reset the delay is %v", d)
	}
}
