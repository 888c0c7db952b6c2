package relay

import "github.com/pterosocket/pterosocket-go/pterosocket"

// An outbox holds what is to be published of one server, in order. One worker at a time sends from it. It opens when
// the relay has claimed the server in the stream, and closes behind the last event of the server's connection. The
// publisher's mutex guards all fields but server and gone; what the stream expects belongs to whoever sends.
type outbox struct {
	server string
	gone   chan struct{} // closed when the outbox has closed

	expect uint64 // sequence of the last message of the server's subjects in the stream
	fenced bool   // another relay has written, so nothing more may be
	// isCut: lines are missing, and another relay is taking over. It finds them in the daemon's log, with those behind
	// them, if what comes from here ends before the gap.
	isCut bool
	busy  bool // it waits for a worker, or one is at work
	queue []item
}

// An item is one event to be published.
type item struct {
	server string
	event  string // its name
	data   []byte
	isLast bool // the connection's last event
	silent bool // it is not published
	cuts   bool // neither it nor what follows is published
}

const (
	// maxHeld and maxHeldBytes limit what a publisher holds. While it is full, the fleet's queue fills, which is bounded
	// and counts what it has to drop.
	maxHeld      = 4096
	maxHeldBytes = 8 << 20
	// itemBytes is what an item takes besides its data.
	itemBytes = 96
	// maxBatch and maxBatchBytes limit one batch. A NATS server takes 1,000 messages in a batch by default.
	maxBatch      = 500
	maxBatchBytes = 512 << 10
)

// take takes what goes out next.
func (o *outbox) take() (batch []item) {
	size := 0
	for _, it := range o.queue[:min(len(o.queue), maxBatch)] {
		size += len(it.data)
		if len(batch) > 0 && size > maxBatchBytes {
			break
		}
		batch = append(batch, it)
	}
	o.queue = o.queue[len(batch):]
	if len(o.queue) == 0 {
		o.queue = nil // so that a burst's memory is given back
	}
	return batch
}

func isLast(ev pterosocket.Event) bool {
	_, ok := ev.(pterosocket.ServerRemoved)
	return ok
}
