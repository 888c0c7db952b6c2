package pterosocket

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"
)

// RunOptions say when the answer to a command is complete: when the first of these conditions holds.
type RunOptions struct {
	Until    func(line string) bool // true for the last line, which is included; called in order, by one goroutine
	Idle     time.Duration          // no line for this long, also after sending; 0: 1 s if no other is set, else never
	MaxLines int                    // this many lines; 0: Run fails at 10,000
}

const maxRunLines = 10_000

var errTooManyLines = fmt.Errorf("%d lines followed and none ended the answer; use RunOptions.Until, Idle or MaxLines", maxRunLines)

// Run sends a command and returns the console lines that follow it, including the echo, until opts say that the answer
// is complete. Daemons do not tell which lines answer a command, so on a busy server other lines are among them. The
// lines also go to the events channel. Concurrent calls of Run wait for each other, so that their answers do not mix.
//
// Run fails like WriteCommand. If ctx ends before the answer is complete, Run returns the lines so far and
// context.Cause(ctx). If the connection is lost or lines are missing, it returns the lines so far and an error for
// which errors.Is(err, ErrInterrupted) holds. The command was sent in these two cases, unless errors.Is finds
// ErrNotSent or ErrUncertain.
func (c *Commands) Run(ctx context.Context, command string, opts RunOptions) ([]string, error) {
	if err := c.c.takeTurn(ctx); err != nil {
		return nil, err
	}
	defer c.c.endTurn()
	idle := opts.Idle
	if idle == 0 && opts.Until == nil && opts.MaxLines == 0 {
		idle = time.Second
	}
	a := &answer{came: make(chan struct{}, 1), most: max(maxRunLines, opts.MaxLines)}
	defer c.c.addTap(a.see)()
	if err := <-c.c.submit(ctx, CommandPacket(command), a.begin); err != nil {
		return nil, err
	}
	silence := time.NewTimer(idle)
	defer silence.Stop()
	if idle <= 0 {
		silence.Stop()
	}
	var lines []string
	for {
		over, end := true, error(nil) // these count only if no line from the same moment completes the answer
		select {
		case <-a.came:
			over = false
		case <-silence.C:
		case <-ctx.Done():
			end = context.Cause(ctx)
		case <-c.c.done:
			end = ErrInterrupted // not ErrClosed: the command was sent
		}
		fresh, err := a.take()
		for _, line := range fresh {
			lines = append(lines, line)
			if opts.Until != nil && opts.Until(line) || opts.MaxLines > 0 && len(lines) >= opts.MaxLines {
				return lines, nil
			}
			if len(lines) >= maxRunLines && opts.MaxLines == 0 {
				return lines, errTooManyLines
			}
		}
		if err = cmp.Or(err, end); over || err != nil {
			return lines, err
		}
		if idle > 0 {
			silence.Reset(idle)
		}
	}
}

// An answer collects lines for a Run. see is called by the goroutine that hands events on, which must not wait for the
// Run.
type answer struct {
	came chan struct{} // says that there is something to take; room for one
	most int           // lines that wait to be taken

	mu    sync.Mutex
	begun bool
	lines []string // not taken yet
	err   error    // why no more lines will come
}

// begin starts collecting, just before the command is sent.
func (a *answer) begin() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.begun = true
	return nil
}

// take returns what has come since the last take.
func (a *answer) take() ([]string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	lines := a.lines
	a.lines = nil
	return lines, a.err
}

func (a *answer) see(ev Event) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.begun || a.err != nil {
		return
	}
	switch ev := ev.(type) {
	case ConsoleOutput:
		a.lines = append(a.lines, ev.Line)
		if len(a.lines) >= a.most { // Until is slower than the console
			a.err = errTooManyLines
		}
	case Close:
		a.err = fmt.Errorf("%w: %w", ErrInterrupted, ev.Err)
	case JWTError:
		if isAnswer(ev.Message) {
			return
		}
		a.err = ErrInterrupted
	case TokenExpired:
		a.err = ErrInterrupted
	default:
		return
	}
	signal(a.came)
}
