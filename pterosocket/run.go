package pterosocket

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"
)

// RunOptions say when the answer to a command is complete: at the first of its conditions.
type RunOptions struct {
	Until    func(line string) bool // true of the last line, which is included; called in order, by one goroutine
	Idle     time.Duration          // no line for so long, counted from the sending too; 0: 1 s when neither of the others is set, otherwise never
	MaxLines int                    // so many lines; 0: 10,000, beyond which Run fails
}

const maxRunLines = 10_000

var errTooManyLines = fmt.Errorf("more than %d lines followed; use RunOptions.Until, Idle or MaxLines", maxRunLines)

// Run sends a command and returns the console lines that follow it, the echo included, until opts say that they are
// complete. Daemons do not tell which lines answer a command, so on a busy server others are among them. The lines go
// to the events channel as well. Of several concurrent Runs each waits for the one before, so that their answers do not
// mix.
//
// It fails like WriteCommand. When ctx ends before the answer is complete, it returns the lines so far and ctx's error;
// when the connection is lost or lines are missing, the lines so far and an error for which errors.Is(err,
// ErrInterrupted) holds. The command was sent then, unless errors.Is(err, ErrNotSent) holds.
func (c *Commands) Run(ctx context.Context, command string, opts RunOptions) ([]string, error) {
	if err := c.c.takeTurn(ctx); err != nil {
		return nil, err
	}
	defer c.c.endTurn()
	idle := opts.Idle
	if idle == 0 && opts.Until == nil && opts.MaxLines == 0 {
		idle = time.Second
	}
	a := &answer{came: make(chan struct{}, 1)}
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
		over, end := true, error(nil) // unless what has come in the same moment completes the answer
		select {
		case <-a.came:
			over = false
		case <-silence.C:
		case <-ctx.Done():
			end = context.Cause(ctx)
		case <-c.c.done:
			end = ErrInterrupted // not ErrClosed: the command has been sent
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
	came chan struct{} // there is something to take; room for one

	mu    sync.Mutex
	begun bool
	lines []string // that have not been taken
	err   error    // why no more lines will come
}

// begin starts the collection, just before the command is sent.
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
		if len(a.lines) >= maxRunLines { // Until is slower than the console
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
