package replay

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"
)

var dbg func(c *Collector, seen []uint64, a []Line, r Reading)

func TestDbg(t *testing.T) {
	seed, err := strconv.Atoi(os.Getenv("SEED"))
	if err != nil {
		t.Skip()
	}
	dbg = func(c *Collector, seen []uint64, a []Line, r Reading) {
		end := c.end
		for end < len(c.second) && c.second[end].At.Before(c.endAt.Add(quiet/2)) {
			end++
		}
		l := newLayout(seen, c.before, c.second[:end], a, c.asked)
		for pos := range l.items {
			l.step(pos)
		}
		ends := l.layers[len(l.layers)-1]
		for i := range ends {
			ends[i].bits += l.final(ends[i].state)
		}
		fmt.Println("---- ", len(ends), "ends", "known", l.known, "r", r.Joins, r.Reaches, r.Close)
		bi := 0
		for i := range ends {
			if ends[i].bits < ends[bi].bits {
				bi = i
			}
			if len(ends) < 30 {
				fmt.Println("end", ends[i].state, ends[i].bits)
			}
		}
		if len(ends) == 0 {
			for i := range l.layers {
				if len(l.layers[i]) == 0 {
					fmt.Println("nothing fits from item", i, l.items[i-1], "")
					break
				}
			}
			fmt.Println(len(l.items), l.items[0])
			return
		}
		n := ends[bi]
		path := make([]node, len(l.items))
		for pos := len(l.items) - 1; pos >= 0; pos-- {
			path[pos] = n
			n = l.layers[pos][n.before]
		}
		for pos, n := range path {
			fmt.Printf("%d %q at %v live=%v %+v bits %.1f\n", pos, func() string {
				if k := l.items[pos].line; k >= 0 {
					return c.second[k].Text
				}
				return "early"
			}(), l.items[pos].at.Sub(c.asked).Round(time.Microsecond), n.isLive, n.state, n.bits)
		}
		for i, line := range l.live[:min(len(l.live), 60)] {
			fmt.Printf("A%d %q %v\n", i, line.Text, line.At.Sub(c.asked).Round(time.Microsecond))
		}
	}
	o := run(os.Getenv("KIND"), os.Getenv("HARSH") == "true", uint64(seed))
	fmt.Println(o.report)
}
