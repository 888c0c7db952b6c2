// Command pterorelay connects to the game servers of a panel and writes their events into a NATS JetStream stream.
// Started on several machines, it shares the servers among them.
//
//	pterorelay                                        # a fake panel and a NATS server inside the program
//	pterorelay -nats nats://nats.example.com          # PTERO_ORIGIN and PTERO_API_KEY name the panel
//	pterorelay -nats ... watch                        # prints what the relays write; or: watch SERVER...
//	pterorelay -nats ... servers                      # a table of all servers
//	pterorelay -nats ... run SERVER list              # a command, and what the console says to it
//	pterorelay -nats ... power SERVER restart
//
// SIGTERM hands the servers over and publishes what has been read. The exit status is 0 then, 1 when the relay could
// not work, and 2 when the arguments are wrong.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pterosocket/pterosocket-go/pterosocket"
	"github.com/pterosocket/pterosocket-go/pterosocket/relay"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
}

const usage = `pterorelay: the events of all game servers of a panel, in a NATS JetStream stream

  pterorelay [flags]                        a relay; start it on several machines, and they share the servers
  pterorelay [flags] watch [SERVER...]      prints what the relays write, until it is told to end
  pterorelay [flags] servers                lists the servers as the relays know them
  pterorelay [flags] run SERVER "list"      sends a command and prints what the console says to it
  pterorelay [flags] power SERVER restart   start, stop, restart or kill, and waits until it is done

Without -nats, a NATS server runs inside the program. Without a panel, a fake one does, with four servers.
The panel comes from PTERO_ORIGIN and PTERO_API_KEY. All relays on one NATS must be of the same panel.

`

// options are what the flags and the environment say.
type options struct {
	relay   relay.Config
	servers string
	nats    string
	creds   string
	ca      string
	cert    string
	key     string
	store   string
	listen  string
	metrics string
	format  string
	verbose bool
	json    bool
	idle    time.Duration
	limit   time.Duration
	args    []string
}

// run is the program. It returns the exit status. The end of ctx ends it gracefully.
func run(ctx context.Context, args []string, env func(string) string, stdout, stderr io.Writer) int {
	o, err := parse(args, env, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintln(stderr, "pterorelay:", err)
		return 2
	}
	if o.limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.limit)
		defer cancel()
	}
	if len(o.args) > 0 {
		err = subcommand(ctx, o, stdout, stderr)
	} else {
		err = serve(ctx, o, stderr)
	}
	if err != nil {
		fmt.Fprintln(stderr, "pterorelay:", err)
		return 1
	}
	return 0
}

func parse(args []string, env func(string) string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("pterorelay", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprint(stderr, usage)
		flags.PrintDefaults()
	}
	flags.StringVar(&o.relay.Origin, "origin", env("PTERO_ORIGIN"), "the panel's `URL`; or PTERO_ORIGIN")
	flags.StringVar(&o.servers, "servers", env("PTERO_SERVERS"), "`identifiers` with commas between them, instead of all servers of the key; or PTERO_SERVERS")
	flags.BoolVar(&o.relay.Admin, "admin", false, "all servers of the panel; the key's user must be an administrator")
	flags.IntVar(&o.relay.RequestsPerMinute, "requests", 0, "how many requests a `minute` all relays together make to the panel; 0: three quarters of its limit")
	flags.StringVar(&o.nats, "nats", env("NATS_URL"), "the NATS server's `URL`, or several with commas between them; or NATS_URL; empty: one inside the program")
	flags.StringVar(&o.creds, "creds", env("NATS_CREDS"), "a NATS credentials `file`; or NATS_CREDS")
	flags.StringVar(&o.ca, "tlsca", "", "the `file` of the authority that signed the NATS server's certificate")
	flags.StringVar(&o.cert, "tlscert", "", "a client certificate's `file` for NATS; needs -tlskey")
	flags.StringVar(&o.key, "tlskey", "", "the `file` of its key")
	flags.StringVar(&o.store, "store", "", "the `folder` of the NATS server inside the program; empty: a temporary one")
	flags.StringVar(&o.listen, "listen", "", "the `address` of the NATS server inside the program; empty: 127.0.0.1:4222, or another port if that is in use")
	flags.StringVar(&o.relay.Name, "name", "", "the relay's `name` in logs; empty: the machine's")
	flags.IntVar(&o.relay.Partitions, "partitions", 0, "into how many `parts` the servers are divided; the same for all relays; 0: 64")
	flags.DurationVar(&o.relay.Lease, "lease", 0, "how long a relay that is gone keeps its servers; the same for all relays; 0: 10s")
	flags.DurationVar(&o.relay.Stream.MaxAge, "max-age", 0, "how long the stream keeps events; 0: 24h, or what the stream has")
	flags.Int64Var(&o.relay.Stream.MaxBytes, "max-bytes", 0, "how much the stream keeps; 0: 1 GiB, or what the stream has")
	flags.IntVar(&o.relay.Stream.Replicas, "replicas", 0, "how many servers of a NATS cluster keep a copy; 0: 1, or what the stream has")
	flags.BoolVar(&o.relay.Stream.OmitStats, "omit-stats", false, "leave stats out of the stream; servers shows the newest anyway")
	flags.StringVar(&o.metrics, "metrics", "", "serve /metrics and /healthz on this `address`, such as :9090")
	flags.StringVar(&o.format, "log", "text", "log as text or json")
	flags.BoolVar(&o.verbose, "v", false, "log more")
	flags.BoolVar(&o.json, "json", false, "watch: print every event as a JSON object, one a line")
	flags.DurationVar(&o.idle, "idle", time.Second, "run: the answer ends when the console is silent for this `time`, or after 10 s")
	flags.DurationVar(&o.limit, "for", 0, "end after this `time`")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return o, err
		}
		return o, errors.New("see pterorelay -help") // flags has printed what is wrong
	}
	o.args = flags.Args()
	o.relay.APIKey = env("PTERO_API_KEY")
	o.relay.Config.ConnectTimeout = time.Minute
	if o.servers != "" {
		o.relay.Servers = strings.Split(o.servers, ",")
	}
	switch {
	case o.format != "text" && o.format != "json":
		return o, fmt.Errorf("-log is text or json, not %q", o.format)
	case o.limit < 0:
		return o, errors.New("-for is negative; give a time such as 10s")
	case len(o.args) > 0 && o.nats == "":
		return o, fmt.Errorf("%s needs -nats or NATS_URL: the NATS server that the relays use", o.args[0])
	case (o.relay.Origin == "") != (o.relay.APIKey == ""):
		return o, errors.New("missing: PTERO_ORIGIN or PTERO_API_KEY (give both for a panel, none for the built-in fake)")
	case o.nats != "" && o.relay.Origin == "" && len(o.args) == 0:
		return o, errors.New("missing: PTERO_ORIGIN and PTERO_API_KEY; the built-in fake goes only with the built-in NATS")
	case (o.cert == "") != (o.key == ""):
		return o, errors.New("-tlscert and -tlskey go together")
	}
	level := slog.LevelInfo
	if o.verbose {
		level = slog.LevelDebug
	}
	handler := slog.Handler(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level}))
	if o.format == "json" {
		handler = slog.NewJSONHandler(stderr, &slog.HandlerOptions{Level: level})
	}
	o.relay.Logger = slog.New(handler)
	return o, checkSubcommand(o.args)
}

// serve is a relay, with whatever is not given inside the program.
func serve(ctx context.Context, o options, stderr io.Writer) error {
	if o.relay.Origin == "" {
		fake := startFake()
		defer fake.Close()
		o.relay.Origin, o.relay.APIKey, o.relay.HTTPClient = fake.Origin(), fake.APIKey(), fake.Client()
		fmt.Fprint(stderr, "* No panel given: this is a fake one inside the program, with four servers.\n"+
			"* For a real one: PTERO_ORIGIN=https://panel.example.com PTERO_API_KEY=ptlc_... pterorelay\n")
	}
	if o.nats == "" {
		embedded, err := startNATS(o.listen, o.store)
		if err != nil {
			return err
		}
		defer embedded.stop()
		o.nats = embedded.url
		fmt.Fprintf(stderr, "* No NATS given: this is one inside the program, at %s, with its data in %s.\n"+
			"* Watch: pterorelay -nats %[1]s watch; or, with NATS' own program: nats -s %[1]s sub 'ptero.>'\n", o.nats, embedded.dir)
	}
	nc, err := dial(o)
	if err != nil {
		return err
	}
	defer nc.Close()
	status := new(status)
	o.relay.Started = status.start
	if o.metrics != "" {
		stop, err := status.serve(o.metrics, o.relay.Logger)
		if err != nil {
			return err
		}
		defer stop()
	}
	return relay.Run(ctx, nc, o.relay)
}

// dial connects to NATS.
func dial(o options) (*nats.Conn, error) {
	log := cmp.Or(o.relay.Logger, slog.Default())
	opts := []nats.Option{
		nats.Name("pterorelay"), nats.MaxReconnects(-1), nats.ReconnectWait(250 * time.Millisecond), nats.ReconnectBufSize(-1),
		nats.IgnoreAuthErrorAbort(), nats.FlusherTimeout(5 * time.Second),
		nats.PingInterval(5 * time.Second), nats.MaxPingsOutstanding(2),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil { // else it was closed here
				log.Warn("lost the connection to NATS", "error", err)
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) { log.Info("connected to NATS again", "server", nc.ConnectedServerName()) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { log.Warn("NATS", "error", err) }),
	}
	if o.creds != "" {
		opts = append(opts, nats.UserCredentials(o.creds))
	}
	if o.ca != "" {
		opts = append(opts, nats.RootCAs(o.ca))
	}
	if o.cert != "" {
		opts = append(opts, nats.ClientCert(o.cert, o.key))
	}
	nc, err := nats.Connect(o.nats, opts...)
	if wrong := new(url.Error); errors.As(err, &wrong) { // its text has what may be a password
		return nil, errors.New("-nats: the URL cannot be read; write special characters in a password as %XX")
	}
	if err != nil {
		return nil, fmt.Errorf("connecting to NATS at %s: %w", redacted(o.nats), err)
	}
	return nc, nil
}

// redacted hides what URLs hold before the @.
func redacted(urls string) string {
	all := strings.Split(urls, ",")
	for i, u := range all {
		if at := strings.LastIndexByte(u, '@'); at >= 0 {
			scheme, _, ok := strings.Cut(u, "://")
			if !ok {
				scheme = "nats"
			}
			all[i] = scheme + "://...@" + u[at+1:]
		}
	}
	return strings.Join(all, ",")
}

func checkSubcommand(args []string) error {
	if len(args) == 0 {
		return nil
	}
	want := map[string]int{"watch": -1, "servers": 0, "run": 2, "power": 2}
	n, ok := want[args[0]]
	switch {
	case !ok:
		return fmt.Errorf("%q is no sub-command; there are watch, servers, run and power", args[0])
	case n >= 0 && len(args)-1 != n:
		return fmt.Errorf("%s takes %d arguments; see pterorelay -help", args[0], n)
	case args[0] == "power":
		switch pterosocket.PowerAction(args[2]) {
		case pterosocket.PowerStart, pterosocket.PowerStop, pterosocket.PowerRestart, pterosocket.PowerKill:
		default:
			return fmt.Errorf("power is start, stop, restart or kill, not %q", args[2])
		}
	}
	return nil
}
