package pterosocket_test

import (
	"github.com/pterosocket/pterosocket-go/pterosocket"
	"github.com/pterosocket/pterosocket-go/pterosocket/gobwas"
)

func dialerUnderTest(cfg pterosocket.Config) pterosocket.Dialer {
	return gobwas.Dialer{HTTPClient: cfg.HTTPClient, Compression: cfg.Compression}
}
