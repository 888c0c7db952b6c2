package panel

import (
	"errors"
	"net/url"
	"strings"
)

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
