package pterosocket_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pterosocket/pterosocket-go/pterosocket"
	"github.com/pterosocket/pterosocket-go/pterosocket/pterotest"
)

var everyDialect = []pterotest.Dialect{pterotest.Pterodactyl, pterotest.Pelican, pterotest.Calagopus}

// Each family refuses in its own words. Whatever they are, Connect returns the same typed error, with a message that
// says what to do.
func TestEveryFamilyRefuses(t *testing.T) {
	ptero, pelican, calagopus := pterotest.Pterodactyl, pterotest.Pelican, pterotest.Calagopus
	for name, test := range map[string]struct {
		on      []pterotest.Dialect
		fake    pterotest.Config
		prepare func(t *testing.T, srv *pterotest.Server, cfg *pterosocket.Config)
		want    error
		status  int // of a HandshakeError or PanelError; 0: a CloseError
		says    string
	}{
		"an origin": { // 403, text with JSON in its second line; Calagopus does not check
			on: []pterotest.Dialect{ptero, pelican}, fake: pterotest.Config{Origin: "https://panel.example"},
			want: pterosocket.ErrOriginRejected, status: 403, says: "allowed_origins",
		},
		"a server unknown to the daemon": { // 404, JSON
			on: everyDialect,
			prepare: func(_ *testing.T, srv *pterotest.Server, cfg *pterosocket.Config) {
				cfg.Credentials = issued(srv, func(c *pterosocket.Credentials) {
					c.Socket = strings.Replace(c.Socket, srv.UUID(), "b0000001-1111-4111-8111-000000000001", 1)
				})
			},
			want: pterosocket.ErrServerNotFound, status: 404, says: "moved or deleted",
		},
		"the 31st connection": { // 400 with JSON, 429 with JSON; Pterodactyl 1.11 has no limit
			on: []pterotest.Dialect{pelican, calagopus},
			prepare: func(t *testing.T, srv *pterotest.Server, cfg *pterosocket.Config) {
				for range 30 {
					connect(t, config(srv))
				}
				cfg.ConnectTimeout = 2 * time.Second
			},
			want: pterosocket.ErrTooManyConnections, says: "close other consoles",
		},
		"a suspended server, by the daemon": { // a close with 4409; the token is from before
			on: []pterotest.Dialect{pelican},
			prepare: func(_ *testing.T, srv *pterotest.Server, cfg *pterosocket.Config) {
				cfg.Credentials = issued(srv, nil)
				srv.Suspend()
			},
			want: pterosocket.ErrConflict, says: "suspended",
		},
		"a suspended server, by the panel": {
			on:      everyDialect,
			prepare: func(_ *testing.T, srv *pterotest.Server, _ *pterosocket.Config) { srv.Suspend() },
			want:    pterosocket.ErrConflict, status: 409, says: "try again",
		},
		"a key": {
			on:      everyDialect,
			prepare: func(_ *testing.T, _ *pterotest.Server, cfg *pterosocket.Config) { cfg.APIKey = "ptlc_wrong" },
			want:    pterosocket.ErrUnauthorized, status: 401, says: "client API key",
		},
		"a user": {
			on: everyDialect, fake: pterotest.Config{Permissions: []string{"control.console"}},
			want: pterosocket.ErrForbidden, status: 403, says: "websocket.connect",
		},
		"a server unknown to the panel": {
			on:      everyDialect,
			prepare: func(_ *testing.T, _ *pterotest.Server, cfg *pterosocket.Config) { cfg.Server = "ffffffff" },
			want:    pterosocket.ErrServerNotFound, status: 404, says: "identifier",
		},
		"too many requests": {
			on:      everyDialect,
			prepare: func(_ *testing.T, srv *pterotest.Server, _ *pterosocket.Config) { srv.RateLimitPanel(time.Minute) },
			want:    pterosocket.ErrRateLimited, status: 429, says: "1m0s",
		},
		"tokens of another panel": {
			on: everyDialect,
			prepare: func(_ *testing.T, srv *pterotest.Server, _ *pterosocket.Config) {
				srv.SetTokenFault(pterotest.BadSignature)
			},
			want: pterosocket.ErrAuthRejected, says: "config.yml",
		},
	} {
		for _, dialect := range test.on {
			t.Run(fmt.Sprintf("%s/%v", name, dialect), func(t *testing.T) {
				test.fake.Dialect = dialect
				virtual(t, test.fake, func(t *testing.T, srv *pterotest.Server) {
					cfg := config(srv)
					if test.prepare != nil {
						test.prepare(t, srv, &cfg)
					}
					_, _, err := open(t.Context(), cfg)
					wantError(t, err, test.want)
					if err == nil || !strings.Contains(err.Error(), test.says) {
						t.Errorf("%q does not say %q", err, test.says)
					}
					var handshake *pterosocket.HandshakeError
					var panel *pterosocket.PanelError
					switch {
					case test.status == 0:
					case errors.As(err, &handshake) && handshake.StatusCode == test.status:
					case errors.As(err, &panel) && panel.StatusCode == test.status:
					default:
						t.Errorf("%#v does not hold the status %d", err, test.status)
					}
				})
			})
		}
	}
}

// The ends of a connection that stood, in every family: what Close tells, and whether the library comes back.
func TestEveryFamilyEnds(t *testing.T) {
	for name, test := range map[string]struct {
		on    []pterotest.Dialect
		end   func(srv *pterotest.Server)
		code  int
		final error // nil: it comes back
	}{
		"a dropped socket": {on: everyDialect, end: (*pterotest.Server).Drop, code: 1006},
		"message too long": {on: everyDialect, end: func(s *pterotest.Server) { s.CloseAll(1009, "") }, code: 1009},
		"1000 and a reason": {
			on: everyDialect, end: func(s *pterotest.Server) { s.CloseAll(1000, "authentication timeout") }, code: 1000,
		},
		"permission revoked": {
			on: []pterotest.Dialect{pterotest.Calagopus}, end: (*pterotest.Server).Revoke, code: 1000, final: pterosocket.ErrServerNotFound,
		},
		"server deleted": {
			on: []pterotest.Dialect{pterotest.Pterodactyl}, end: func(s *pterotest.Server) { s.Delete(false) }, code: 1001, final: pterosocket.ErrServerNotFound,
		},
		"server deleted, without a word": {
			on: []pterotest.Dialect{pterotest.Pelican}, end: func(s *pterotest.Server) { s.Delete(false) }, code: 1006, final: pterosocket.ErrServerNotFound,
		},
	} {
		for _, dialect := range test.on {
			t.Run(fmt.Sprintf("%s/%v", name, dialect), func(t *testing.T) {
				virtual(t, pterotest.Config{Dialect: dialect}, func(t *testing.T, srv *pterotest.Server) {
					c := connect(t, config(srv))
					test.end(srv)
					if lost := next[pterosocket.Close](c); lost.Code != test.code || lost.Err == nil {
						t.Errorf("%+v, want code %d", lost, test.code)
					}
					if test.final == nil {
						if again := next[pterosocket.Start](c); again.Reconnects != 1 {
							t.Errorf("%+v", again)
						}
						return
					}
					<-c.Done()
					wantError(t, c.Err(), test.final)
				})
			})
		}
	}
}

// issued is a CredentialSource with what the panel answered before something happened.
func issued(srv *pterotest.Server, change func(*pterosocket.Credentials)) source {
	token, socket := srv.Credentials()
	creds := pterosocket.Credentials{Token: token, Socket: socket}
	if change != nil {
		change(&creds)
	}
	return func(context.Context) (pterosocket.Credentials, error) { return creds, nil }
}
