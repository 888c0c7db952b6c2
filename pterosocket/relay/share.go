package relay

import "slices"

// shareOf returns how many of the partitions are a relay's fair share: as many as everybody's, and one more for the
// first ones if they cannot be divided.
func shareOf(self string, relays []string, partitions int) int {
	sorted := slices.Compact(slices.Sorted(slices.Values(append([]string{self}, relays...))))
	share := partitions / len(sorted)
	if slices.Index(sorted, self) < partitions%len(sorted) {
		share++
	}
	return share
}
