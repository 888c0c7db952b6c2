package relay

import (
	"fmt"
	"testing"

	"github.com/pterosocket/pterosocket-go/pterosocket"
)

// Every relay takes its share, and all shares together are all partitions.
func TestShares(t *testing.T) {
	for relays := 1; relays <= 9; relays++ {
		for _, partitions := range []int{1, 5, 64, 100} {
			var names []string
			for n := range relays {
				names = append(names, fmt.Sprint("relay", n))
			}
			sum := 0
			for n, self := range names {
				others := append(append([]string{}, names[:n]...), names[n+1:]...)
				share := shareOf(self, others, partitions)
				if again := shareOf(self, names, partitions); again != share {
					t.Errorf("%d if it is among the others, %d if not", again, share)
				}
				if share < partitions/relays || share > partitions/relays+1 {
					t.Errorf("%d of %d for one of %d relays", share, partitions, relays)
				}
				sum += share
			}
			if sum != partitions {
				t.Errorf("%d relays take %d of %d partitions", relays, sum, partitions)
			}
		}
	}
}

// All relays together keep to what the user wants, or to three quarters of the panel's limit.
func TestRequestsFor(t *testing.T) {
	for _, test := range []struct{ owned, wanted, limit, want int }{
		{64, 0, 0, 180}, {32, 0, 0, 90}, {64, 0, 240, 180}, {16, 0, 480, 90}, {32, 100, 240, 50}, {0, 0, 240, 6}, {0, 2, 240, 2},
	} {
		if got := requestsFor(test.owned, 64, test.wanted, test.limit); got != test.want {
			t.Errorf("%+v: %d", test, got)
		}
	}
}

func TestNames(t *testing.T) {
	counts := make([]int, 64)
	for n := range 6400 {
		counts[partitionOf(fmt.Sprintf("%08x", n*2654435761), 64)]++
	}
	for p, n := range counts {
		if n < 50 || n > 150 {
			t.Errorf("partition %d has %d of 6,400 servers", p, n)
		}
	}
	if got := eventSubject("1a2b3c4d", nameOf(pterosocket.ConsoleOutput{})); got != "ptero.event.1a2b3c4d.console_output" {
		t.Error(got)
	}
	if got := eventSubject("", nameOf(pterosocket.Unknown{Event: "a b.>"})); got != "ptero.event._.unknown" {
		t.Error(got)
	}
	for _, version := range []string{"2.11.9", "1.4.1", "0.1"} {
		if checkVersion(version) == nil {
			t.Errorf("%s is taken", version)
		}
	}
	for _, version := range []string{"2.12.0", "2.15.3", "3.0.0-dev", ""} {
		if err := checkVersion(version); err != nil {
			t.Error(err)
		}
	}
}
