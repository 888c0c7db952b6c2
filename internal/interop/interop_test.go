// Package interop holds other authors' clients, from npm, against pterotest: what they receive, what they send, and
// where they stop by their own fault. Our client goes through the same script.
package interop

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pterosocket/pterosocket-go/pterosocket/pterotest"
)

const (
	// patience is for what should come.
	patience = 40 * time.Second
	// enough is how long something is waited for that will not come from every client.
	enough = 6 * time.Second
)

// A report is what the script found out.
type report struct {
	connects      string // "yes", or why not
	console       string // of 20 lines
	stats, status bool
	commandRuns   bool
	powerWorks    bool
	renewsWarned  bool // the daemon said "token expiring"
	survives      bool // an expiry that nobody warned of: lines come again
	missesNothing bool // and what was printed meanwhile comes too
	reconnects    bool
	catchesUp     bool // what was printed while it was away comes too
}

// expected is what each client does. Where a stranger fails, its own code says why:
//
//   - pterosocket reads "data" of the panel's answer, which Calagopus does not have.
//   - pterosocket renews on "token expiring" alone; of "jwt error" and "token expired" it only tells.
//   - pterosocket does nothing when the connection is lost.
//   - jspteroapi sends no Origin, so only a daemon that takes any lets it in; and it reads "data" too.
//   - jspteroapi fetches a new token when it should, but never sends it (setToken without isUpdate), and does so once (isUpdating stays).
//   - jspteroapi's reconnect waits for a timer that nobody sets, so it does nothing when the connection is lost.
var expected = map[string]report{
	"ours":                        everything,
	"ours on Calagopus":           everything,
	"pterosocket":                 {connects: "yes", console: "20", stats: true, status: true, commandRuns: true, powerWorks: true, renewsWarned: true},
	"pterosocket on Calagopus":    {connects: "Couldn't connect - server didn't provide credentials."},
	"jspteroapi":                  {connects: "Unexpected server response: 403"},
	"jspteroapi on Calagopus":     {connects: "Cannot read properties of undefined (reading 'token')"},
	"jspteroapi, with any origin": {connects: "yes", console: "20", stats: true, status: true, commandRuns: true, powerWorks: true},
}

var everything = report{
	connects: "yes", console: "20", stats: true, status: true, commandRuns: true, powerWorks: true,
	renewsWarned: true, survives: true, missesNothing: true, reconnects: true, catchesUp: true,
}

func TestMain(m *testing.M) {
	if _, err := os.Stat("node_modules/pterosocket"); err != nil {
		fmt.Println("the npm clients are not installed; run make interop")
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func TestScript(t *testing.T) {
	for _, dialect := range []pterotest.Dialect{pterotest.Pterodactyl, pterotest.Pelican, pterotest.Calagopus} {
		for _, name := range []string{"ours", "pterosocket", "jspteroapi", "jspteroapi, with any origin"} {
			anyOrigin := strings.HasSuffix(name, "any origin")
			if anyOrigin && dialect == pterotest.Calagopus {
				continue
			}
			t.Run(fmt.Sprintf("%v/%s", dialect, name), func(t *testing.T) {
				t.Parallel()
				srv := pterotest.NewServer(pterotest.Config{Dialect: dialect, AnyOrigin: anyOrigin})
				t.Cleanup(srv.Close)
				got := script(t, srv, strings.TrimSuffix(name, ", with any origin"))
				t.Logf("%+v", got)
				want := expected[name]
				if dialect == pterotest.Calagopus {
					want = expected[name+" on Calagopus"]
				}
				if got != want {
					t.Errorf("\n got %+v\nwant %+v", got, want)
				}
			})
		}
	}
}

func script(t *testing.T, srv *pterotest.Server, name string) (r report) {
	w := newWatch()
	var c client
	if name == "ours" {
		c = startOurs(t, srv, w)
	} else {
		c = startNode(t, name, srv, w)
	}
	is := func(name string) func(event) bool { return func(ev event) bool { return ev.Event == name } }
	line := func(text string) func(event) bool {
		return func(ev event) bool { return ev.Event == "console_output" && ev.Arg == text }
	}
	status := func(state string) func(event) bool {
		return func(ev event) bool { return ev.Event == "status" && ev.Arg == state }
	}
	enough := enough
	if name == "ours" { // all of it has to come, and it comes back at its own, random pace
		enough = patience
	}
	await := func(cond func() bool) bool {
		ctx, cancel := context.WithTimeout(t.Context(), enough)
		defer cancel()
		return srv.WaitFor(ctx, cond) == nil
	}

	if !w.sees(func(ev event) bool { return ev.Event == "CRASH" || ev.Event == "auth_success" }, patience) {
		r.connects = "no answer"
		return r
	}
	if why, crashed := w.crash(); crashed {
		r.connects = why
		return r
	}
	r.connects = "yes"
	r.status = w.sees(status("running"), patience) // a daemon subscribes a client just behind its auth success

	for i := range 20 {
		srv.Print(fmt.Sprint("line ", i))
	}
	w.sees(line("line 19"), patience)
	r.console = fmt.Sprint(w.count(func(ev event) bool { return strings.HasPrefix(ev.Arg, "line ") }))
	r.stats = w.sees(is("stats"), patience)

	c.command("say hello")
	r.commandRuns = w.sees(line("say hello"), patience)
	c.power("restart")
	r.powerWorks = w.sees(status("stopping"), patience) && w.sees(status("offline"), patience) && w.sees(status("starting"), patience)
	await(func() bool { return srv.State() == "running" })

	auths := func() (n int) {
		for _, m := range srv.Received() {
			if m.Event == "auth" {
				n++
			}
		}
		return n
	}
	before := auths()
	srv.Emit("token expiring")
	r.renewsWarned = await(func() bool { return auths() > before })

	srv.Print("before the expiry")
	w.sees(line("before the expiry"), patience)
	before = auths()
	srv.ExpireTokens()
	srv.Print("during the expiry")
	await(func() bool { return auths() > before }) // each of the stats is a jwt error now
	srv.Print("after the expiry")
	r.survives = w.sees(line("after the expiry"), enough)
	r.missesNothing = r.survives && w.sees(line("during the expiry"), enough)

	srv.SetDown(true)
	srv.Print("while away")
	srv.SetDown(false)
	r.reconnects = await(func() bool { return srv.Authenticated() == 1 })
	srv.Print("back again")
	r.reconnects = w.sees(line("back again"), enough) && r.reconnects
	r.catchesUp = w.sees(line("while away"), enough)
	return r
}
