// Package panel asks a panel of the Pterodactyl family: for what opens a server's websocket, a short-lived token and the
// daemon's URL, and for the servers that there are.
package panel

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/pterosocket/pterosocket-go/internal/redirect"
)

const (
	// maxBody bounds what is read of an answer. Real ones have about 1 KiB; in a list, each of a hundred servers may have
	// ten, with what belongs to it.
	maxBody = 8 << 20
	// timeout bounds one request, so that a panel which accepts and never answers is asked again.
	timeout = 15 * time.Second
)

// Client asks one panel.
type Client struct {
	HTTP   *http.Client
	Origin string // scheme://host[:port], as NormalizeOrigin returns it
	APIKey string
	Server string      // identifier or UUID; for lists ""
	Limit  func(Limit) // gets what answers tell; nil: nobody does
}

// A Limit is what an answer tells of how many requests the panel takes.
type Limit struct {
	Requests, Remaining int
	Every               time.Duration // the length of the window in which Requests are allowed
}

// Credentials open a websocket: Token goes into the auth frame, Socket is the URL. Nested: the panel answered with both
// inside "data", as Pterodactyl and Pelican do.
type Credentials struct {
	Token, Socket string
	Nested        bool
}

// Error is an answer of the panel that holds no credentials.
type Error struct {
	StatusCode int
	Code       string        // the panel's name for the error, if it gave one
	Detail     string        // the panel's own words, or what is wrong with its answer
	RetryAfter time.Duration // from the header; 0 if there was none
	Foreign    bool          // it is not in the panel's own JSON: a proxy, a login page, another site
	Limit      int           // what a 429 tells of the limit that it is for, in requests; 0: nothing
}

func (e *Error) Error() string {
	return fmt.Sprintf("the panel answered %d: %s", e.StatusCode, e.Detail)
}

// Fetch makes one request: GET {origin}/api/client/servers/{server}/websocket. It returns an *Error, without the API
// key, for an answer without credentials. Another error holds the key if HTTP puts headers into its errors.
func (c *Client) Fetch(ctx context.Context) (creds Credentials, err error) {
	err = c.get(ctx, "/api/client/servers/"+url.PathEscape(c.Server)+"/websocket", func(body []byte) (nested bool, err error) {
		creds, err = credentials(body)
		return creds.Nested, err
	})
	return creds, err
}

// get makes one request. read reads the answer, and reports whether it is one of Pterodactyl or Pelican.
func (c *Client) get(ctx context.Context, path string, read func(body []byte) (nested bool, err error)) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.Origin+path, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+c.APIKey)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "pterosocket-go")
	// A connection to the panel is used once in eight minutes: not worth two goroutines and a socket in between.
	req.Close = true

	client := *c.HTTP
	client.CheckRedirect = redirect.SameHost(nil)
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return fmt.Errorf("reading the panel's answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK || len(body) > maxBody {
		return c.refusal(resp, body)
	}
	nested, err := read(body)
	if err == nil && c.Limit != nil {
		l := Limit{Every: time.Minute} // Calagopus counts for half a minute
		if !nested {
			l.Every /= 2
		}
		if _, err := fmt.Sscan(resp.Header.Get("X-RateLimit-Limit")+" "+resp.Header.Get("X-RateLimit-Remaining"), &l.Requests, &l.Remaining); err == nil {
			c.Limit(l)
		}
	}
	return err
}

// credentials reads both shapes: {"data":{"token","socket"}} of Pterodactyl and Pelican, {"token","url"} of Calagopus.
func credentials(body []byte) (Credentials, error) {
	var answer struct {
		Data       struct{ Token, Socket string }
		Token, URL string
	}
	none := &Error{StatusCode: http.StatusOK, Detail: "the answer holds no token or no socket URL", Foreign: true}
	if json.Unmarshal(body, &answer) != nil {
		none.Detail = "the answer is not the JSON of a websocket token but " + kind(body)
		return Credentials{}, none
	}
	creds := Credentials{Token: answer.Data.Token, Socket: answer.Data.Socket, Nested: true}
	if creds.Token == "" && creds.Socket == "" {
		creds = Credentials{Token: answer.Token, Socket: answer.URL}
	}
	if creds.Token == "" || creds.Socket == "" {
		return Credentials{}, none
	}
	return creds, nil
}

func (c *Client) refusal(resp *http.Response, body []byte) error {
	e := &Error{StatusCode: resp.StatusCode, RetryAfter: retryAfter(resp.Header.Get("Retry-After")), Foreign: true}
	e.Limit, _ = strconv.Atoi(resp.Header.Get("X-RateLimit-Limit"))
	var answer struct {
		Errors []json.RawMessage `json:"errors"`
		Error  string            `json:"error"`
	}
	switch location := resp.Header.Get("Location"); {
	case len(body) > maxBody:
		e.Detail = "the answer is longer than 8 MiB"
	case resp.StatusCode/100 == 3 && location != "":
		e.Detail = "it redirects to " + c.clean(location) + ", where the API key is not sent; if that is the panel, make it the Origin"
	case json.Unmarshal(body, &answer) == nil && len(answer.Errors) > 0:
		var first struct{ Code, Detail string }
		if json.Unmarshal(answer.Errors[0], &first) != nil {
			_ = json.Unmarshal(answer.Errors[0], &first.Detail) // other panels have plain strings there
		}
		e.Code, e.Detail, e.Foreign = c.clean(first.Code), c.clean(first.Detail), false
	case answer.Error != "":
		e.Detail, e.Foreign = c.clean(answer.Error), false
	}
	if e.Detail == "" {
		e.Detail = "without a reason (" + kind(body) + ")"
	}
	return e
}

// kind says what an answer is instead of what it should be.
func kind(body []byte) string {
	body = bytes.TrimSpace(body)
	switch {
	case len(body) == 0:
		return "an empty body"
	case body[0] == '<':
		return "an HTML page, perhaps of a proxy or a login"
	case json.Valid(body):
		return "other JSON"
	}
	return "something else"
}

// clean makes the panel's words fit for an error: without the API key, should they quote it.
func (c *Client) clean(s string) string {
	return Printable(strings.ReplaceAll(s, c.APIKey, "[API key]"), 300)
}

// Printable makes a peer's text fit for an error or a log line: one line, and not longer than limit.
func Printable(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "") + "..."
	}
	return s
}

// retryAfter reads the header in both of its forms, seconds and date; 0 when there is none.
func retryAfter(header string) time.Duration {
	if seconds, err := strconv.Atoi(header); err == nil {
		return time.Duration(max(0, min(seconds, 24*60*60))) * time.Second
	}
	if at, err := http.ParseTime(header); err == nil {
		return max(0, min(time.Until(at), 24*time.Hour))
	}
	return 0
}

// NormalizeOrigin returns the scheme and host of a panel's base URL as the daemons compare it: in lower case, without
// path, trailing slash, or the scheme's own port.
func NormalizeOrigin(base string) (string, error) {
	u, err := url.Parse(strings.TrimSpace(base))
	if err != nil {
		return "", errors.New("it is not a URL") // err would quote it, with a password if there is one
	}
	scheme := strings.ToLower(u.Scheme)
	switch {
	case scheme != "http" && scheme != "https":
		return "", errors.New("it must begin with https:// or http://")
	case u.Hostname() == "":
		return "", errors.New("it has no host")
	case u.User != nil:
		return "", errors.New("it must not hold a user or password")
	}
	host := strings.ToLower(u.Host)
	if port := u.Port(); port == "" || scheme == "http" && port == "80" || scheme == "https" && port == "443" {
		host = strings.TrimSuffix(host, ":"+port)
	}
	return scheme + "://" + host, nil
}
