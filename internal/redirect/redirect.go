// Package redirect says which redirects are followed with a secret.
package redirect

import (
	"net/http"
	"net/url"
)

// SameHost lets a client follow a redirect only to where the first request went, by the same scheme, and not for ever:
// the API key is in the request, and a token is sent on the connection that results of a handshake. Any other answer
// stays what it is. next, if not nil, is asked too.
func SameHost(next func(*http.Request, []*http.Request) error) func(*http.Request, []*http.Request) error {
	return func(req *http.Request, via []*http.Request) error {
		from := *via[0].URL
		AsHTTP(req.URL)
		AsHTTP(&from)
		if to := req.URL; to.Scheme != from.Scheme || to.Host != from.Host || len(via) >= maxRedirects {
			return http.ErrUseLastResponse
		}
		if next != nil {
			return next(req, via)
		}
		return nil
	}
}

// maxRedirects is how many redirects are followed.
const maxRedirects = 10

// AsHTTP gives a websocket's URL the scheme that net/http knows.
func AsHTTP(u *url.URL) {
	switch u.Scheme {
	case "ws":
		u.Scheme = "http"
	case "wss":
		u.Scheme = "https"
	}
}
