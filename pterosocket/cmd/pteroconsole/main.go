// Command pteroconsole is a console for a game server on a panel of the Pterodactyl family, in a terminal or in a pipe.
//
//	pteroconsole -origin https://panel.example.com -server 1a2b3c4d      # the API key in PTERO_API_KEY
//	pteroconsole                                                        # against a fake panel inside the program
//	pteroconsole -json -for 1m | jq .                                   # every event as a JSON object
//	pteroconsole run list                                               # the answer to one command
//	pteroconsole power restart                                          # waits until it is done
//	pteroconsole logs                                                   # the daemon's recent lines
//	pteroconsole servers                                                # all servers of the key
//	pteroconsole -all                                                   # watches them; or -server a,b,c
//	pteroconsole top                                                    # the same as a live table
//
// In a pipe, lines of standard input are commands, console lines go to standard output, and everything else to standard
// error.
//
// The exit status is 0 when the program was told to end, 1 when the connection ended with an error or could not be
// made, and 2 when the arguments are wrong.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/pterosocket/pterosocket-go/pterosocket"
)

func main() {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // as nohup does
		signals = append(signals, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), signals...)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Getenv, os.Stdin, os.Stdout, os.Stderr))
}

// options are what the flags and the environment say.
type options struct {
	config pterosocket.Config
	json   bool
	all    bool // servers of the key
	limit  time.Duration
	idle   time.Duration
	dumb   bool     // the terminal cannot move its cursor
	glyphs []rune   // that graphs are drawn with
	args   []string // a sub-command
}

const usage = `pteroconsole: a console for a game server on a Pterodactyl, Pelican or Calagopus panel

  pteroconsole [flags]                   the console; lines that you type are commands
  pteroconsole [flags] run "list"        sends one command and prints what the console says to it
  pteroconsole [flags] power start       start, stop, restart or kill, and waits until it is done
  pteroconsole [flags] logs              prints the daemon's recent lines
  pteroconsole [flags] servers           lists the servers of the key
  pteroconsole [flags] -all              watches all of them (or -server a,b,c); lines are: SERVER COMMAND
  pteroconsole [flags] top               a live table of them, with their consoles; needs a terminal

Without a panel it runs against a fake one with six servers and a small game in each.

`

// is reports whether the sub-command has this name.
func (o options) is(name string) bool { return len(o.args) > 0 && o.args[0] == name }

// run is the program. It returns the exit status. The end of ctx ends it gracefully.
func run(ctx context.Context, args []string, env func(string) string, stdin io.Reader, stdout, stderr io.Writer) int {
	opts, err := parse(args, env, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintln(stderr, "pteroconsole:", err)
		return 2
	}
	if opts.config.Origin == "" && opts.config.APIKey == "" && (opts.config.Server == "" || opts.all) {
		demo := startDemo()
		defer demo.Close()
		opts.config.Origin, opts.config.APIKey, opts.config.HTTPClient = demo.Origin(), demo.APIKey(), demo.Client()
		if !opts.is("top") {
			opts.config.Server = demo.ServerID()
			fmt.Fprint(stderr, demoNotice)
		}
	}
	if opts.limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, opts.limit)
		defer cancel()
		if opts.limit < 30*time.Second { // so that Connect can still say why there is no connection
			opts.config.ConnectTimeout = opts.limit * 9 / 10
		}
	}
	switch {
	case opts.is("servers"):
		err = listServers(ctx, opts, stdout)
	case opts.is("top"):
		err = top(ctx, opts, stdin, stdout)
	case len(opts.args) > 0:
		err = subcommand(ctx, opts, stdout)
	case opts.isFleet():
		err = watchFleet(ctx, opts, stdin, stdout, stderr)
	default:
		err = console(ctx, opts, stdin, stdout, stderr)
	}
	if err != nil {
		fmt.Fprintln(stderr, "pteroconsole:", err)
		return 1
	}
	return 0
}

func parse(args []string, env func(string) string, stderr io.Writer) (options, error) {
	o := options{glyphs: drawWith(env), dumb: env("TERM") == "dumb"}
	flags := flag.NewFlagSet("pteroconsole", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprint(stderr, usage)
		flags.PrintDefaults()
	}
	flags.StringVar(&o.config.Origin, "origin", env("PTERO_ORIGIN"), "the panel's `URL`, such as https://panel.example.com; or PTERO_ORIGIN")
	flags.StringVar(&o.config.Server, "server", env("PTERO_SERVER"), "the server's `identifier`, or several with commas between them; or PTERO_SERVER")
	flags.BoolVar(&o.all, "all", false, "watch all servers of the key")
	key := flags.String("key", "", "a client API `key`; better in PTERO_API_KEY, where other users of the machine do not see it")
	flags.BoolVar(&o.json, "json", false, "print every event as a JSON object, one a line")
	flags.DurationVar(&o.limit, "for", 0, "end after this `time`")
	flags.DurationVar(&o.idle, "idle", 300*time.Millisecond, "run: the answer ends when the console is silent for this `time`, or after 10 s")
	history := flags.Bool("history", true, "begin with the daemon's recent lines")
	flags.BoolVar(&o.config.AllowInsecure, "insecure", false, "accept an unencrypted websocket from an https panel")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return o, err
		}
		return o, fmt.Errorf("see pteroconsole -help") // flags has printed what is wrong
	}
	o.config.APIKey = *key
	if o.config.APIKey == "" {
		o.config.APIKey = env("PTERO_API_KEY")
	}
	o.config.History = *history
	o.args = flags.Args()
	switch {
	case o.limit < 0:
		return o, errors.New("-for is negative; give a time such as 10s")
	case o.idle < 0:
		return o, errors.New("-idle is negative; give a time such as 300ms")
	}
	for _, arg := range o.args[min(1, len(o.args)):] {
		if name := strings.TrimLeft(arg, "-"); o.args[0] != "run" && name != arg || flags.Lookup(strings.SplitN(name, "=", 2)[0]) != nil && name != arg {
			return o, fmt.Errorf("%s comes behind the sub-command; flags go before it", arg)
		}
	}
	wanted := []struct{ name, value string }{{"-origin or PTERO_ORIGIN", o.config.Origin}, {"PTERO_API_KEY", o.config.APIKey}}
	if !o.all && !o.is("servers") && (!o.is("top") || o.config.Server != "") {
		wanted = append(wanted, struct{ name, value string }{"-server or PTERO_SERVER", o.config.Server})
	}
	var missing []string
	for _, f := range wanted {
		if f.value == "" {
			missing = append(missing, f.name)
		}
	}
	if n := len(missing); n > 0 && n < len(wanted) {
		return o, fmt.Errorf("missing: %s (give all for a panel, none for the built-in fake)", strings.Join(missing, ", "))
	}
	if len(o.args) > 0 && !o.is("servers") && !o.is("top") && o.isFleet() {
		return o, fmt.Errorf("%s is for one server; name it with -server", o.args[0])
	}
	if o.json && len(o.args) > 0 {
		return o, fmt.Errorf("%s prints no JSON; -json is for the console, and with -all for many servers", o.args[0])
	}
	return o, checkSubcommand(o.args)
}

// console connects and shows what happens until ctx ends, the user quits, or the connection ends for good.
func console(ctx context.Context, opts options, stdin io.Reader, stdout, stderr io.Writer) error {
	// The end of ctx is the wish to end gracefully, so the connection lives under a context of its own.
	events, commands, err := connect(ctx, opts.config)
	if err != nil {
		return err
	}
	defer commands.Close()
	quit, cancel := context.WithCancel(ctx)
	defer cancel()
	var view view
	switch in, out := stdin, stdout; {
	case opts.json:
		view = &jsonView{stdout: stdout, stderr: stderr}
		go readLines(quit, cancel, in, commands, view, opts.limit > 0)
	case isTerminal(in) && isTerminal(out) && !opts.dumb:
		t, restore, err := newTerminal(in.(*os.File), out.(*os.File), opts.config.Server, opts.glyphs)
		if err != nil {
			return err
		}
		defer restore()
		view = t
		go t.readCommands(quit, cancel, commands)
	default:
		view = &pipeView{recorder: recorder{glyphs: opts.glyphs}, stdout: stdout, stderr: stderr}
		go readLines(quit, cancel, in, commands, view, opts.limit > 0)
	}
	stopped := context.AfterFunc(quit, func() { _ = commands.Close() })
	defer stopped()
	var failed error
	for ev := range events {
		if err := view.show(ev); err != nil && failed == nil { // nobody can be shown anything any more
			failed = fmt.Errorf("writing the output: %w", err)
			cancel()
		}
	}
	<-commands.Done()
	if failed != nil {
		return failed
	}
	return commands.Err()
}

// connect connects under a context that does not end with ctx once the connection stands.
func connect(ctx context.Context, cfg pterosocket.Config) (<-chan pterosocket.Event, *pterosocket.Commands, error) {
	lifetime, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })
	events, commands, err := pterosocket.Connect(lifetime, cfg)
	if !stop() && err == nil { // ctx ended in the last moment
		err = context.Cause(ctx)
		_ = commands.Close()
	}
	return events, commands, err
}

func isTerminal(f any) bool {
	file, ok := f.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
