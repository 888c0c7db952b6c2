package pterosocket

import "net/http"

// DefaultDialer is what a Config without a Dialer uses.
func DefaultDialer(c *http.Client) Dialer { return defaultDialer{c, false} }
