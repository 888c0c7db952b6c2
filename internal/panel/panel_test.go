package panel

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const key = "ptlc_secretsecretsecret"

// ask lets handler answer one Fetch.
func ask(t *testing.T, handler http.HandlerFunc) (Credentials, error) {
	t.Helper()
	srv := httptest.NewServer(handler)
	defer srv.Close()
	c := Client{HTTP: srv.Client(), Origin: srv.URL, APIKey: key, Server: "abc12345"}
	creds, err := c.Fetch(t.Context())
	if err != nil && strings.Contains(err.Error(), key) {
		t.Errorf("the error holds the API key: %v", err)
	}
	return creds, err
}

func body(status int, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(text))
	}
}

func TestFetchReadsBothShapes(t *testing.T) {
	want := Credentials{Token: "a.b.c", Socket: "wss://node:8080/api/servers/x/ws"}
	for name, text := range map[string]string{
		"Pterodactyl": `{"object":"websocket_token","data":{"token":"a.b.c","socket":"wss:\/\/node:8080\/api\/servers\/x\/ws"}}`,
		"Calagopus":   `{"token":"a.b.c","url":"wss://node:8080/api/servers/x/ws"}`,
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ask(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/api/client/servers/abc12345/websocket" || r.Header.Get("Authorization") != "Bearer "+key || r.Header.Get("Accept") != "application/json" {
					t.Errorf("asked for %s with %v", r.URL, r.Header)
				}
				body(200, text)(w, r)
			})
			want.Nested = name != "Calagopus"
			if err != nil || got != want {
				t.Errorf("Fetch = %+v, %v, want %+v", got, err, want)
			}
		})
	}
}

func TestFetchErrors(t *testing.T) {
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		want    Error
	}{
		"refused":    {body(403, `{"errors":[{"code":"AccessDenied","status":"403","detail":"no `+key+"\u001b[31m"+`"}]}`), Error{StatusCode: 403, Detail: "without a reason (something else)", Foreign: true}},
		"detail":     {body(409, `{"errors":[{"code":"ServerStateConflictException","status":"409","detail":"suspended, `+key+`"}]}`), Error{StatusCode: 409, Code: "ServerStateConflictException", Detail: "suspended, [API key]"}},
		"strings":    {body(403, `{"errors":["no such permission"]}`), Error{StatusCode: 403, Detail: "no such permission"}},
		"flat":       {body(404, `{"error":"not found"}`), Error{StatusCode: 404, Detail: "not found"}},
		"empty":      {body(500, ""), Error{StatusCode: 500, Detail: "without a reason (an empty body)", Foreign: true}},
		"html":       {body(502, "<html>Bad gateway</html>"), Error{StatusCode: 502, Detail: "without a reason (an HTML page, perhaps of a proxy or a login)", Foreign: true}},
		"login page": {body(200, "<!doctype html>"), Error{StatusCode: 200, Detail: "the answer is not the JSON of a websocket token but an HTML page, perhaps of a proxy or a login", Foreign: true}},
		"other JSON": {body(200, `{"data":[]}`), Error{StatusCode: 200, Detail: "the answer is not the JSON of a websocket token but other JSON", Foreign: true}},
		"no token":   {body(200, `{"data":{"socket":"wss://x"}}`), Error{StatusCode: 200, Detail: "the answer holds no token or no socket URL", Foreign: true}},
		"endless":    {body(200, strings.Repeat(" ", maxBody+1)), Error{StatusCode: 200, Detail: "the answer is longer than 8 MiB", Foreign: true}},
		"rate limited": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", "17")
			body(429, "{}")(w, r)
		}, Error{StatusCode: 429, Detail: "without a reason (other JSON)", RetryAfter: 17 * time.Second, Foreign: true}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ask(t, test.handler)
			var got *Error
			if !errors.As(err, &got) {
				t.Fatalf("Fetch: %v", err)
			}
			if diff := cmp.Diff(test.want, *got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestFetchKeepsTheKeyFromOtherHosts(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the redirect was followed") }))
	defer other.Close()
	_, err := ask(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL+"/login", http.StatusFound)
	})
	var got *Error
	if !errors.As(err, &got) || got.StatusCode != 302 || !strings.Contains(got.Detail, other.URL) {
		t.Errorf("Fetch: %v", err)
	}
}

func TestFetchEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	}))
	defer srv.Close()
	c := Client{HTTP: srv.Client(), Origin: srv.URL, APIKey: key, Server: "x"}
	if _, err := c.Fetch(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Fetch: %v", err)
	}
}

func TestNormalizeOrigin(t *testing.T) {
	for base, want := range map[string]string{
		"https://panel.example.com":                "https://panel.example.com",
		" HTTPS://Panel.Example.com:443/admin/?x ": "https://panel.example.com",
		"http://panel.example.com:80/":             "http://panel.example.com",
		"http://10.0.0.1:8080/":                    "http://10.0.0.1:8080",
		"https://[::1]:8443":                       "https://[::1]:8443",
		"https://[::1]":                            "https://[::1]",
		"panel.example.com":                        "",
		"ftp://panel.example.com":                  "",
		"https://":                                 "",
		"https://user:secret@panel.example.com":    "",
		"https://a b":                              "",
		"":                                         "",
	} {
		got, err := NormalizeOrigin(base)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("NormalizeOrigin(%q) = %q, %v, want %q", base, got, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the error quotes a password: %v", err)
		}
	}
}
