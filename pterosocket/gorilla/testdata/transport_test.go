package pterosocket_test

import (
	"github.com/pterosocket/pterosocket-go/pterosocket"
	"github.com/pterosocket/pterosocket-go/pterosocket/gorilla"
)

func dialerUnderTest(cfg pterosocket.Config) pterosocket.Dialer {
	return gorilla.Dialer{HTTPClient: cfg.HTTPClient, Compression: cfg.Compression}
}
