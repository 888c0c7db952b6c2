// A module of its own, so that whoever does not use it does not get gobwas/ws into their go.sum.
module github.com/pterosocket/pterosocket-go/pterosocket/gobwas

go 1.26

require (
	github.com/gobwas/httphead v0.1.0
	github.com/gobwas/ws v1.5.0
	github.com/pterosocket/pterosocket-go v0.0.0
	go.uber.org/goleak v1.3.0
)

require (
	github.com/golang-jwt/jwt/v5 v5.3.1 // indirect
	golang.org/x/sync v0.18.0 // indirect
	golang.org/x/time v0.14.0 // indirect
	nhooyr.io/websocket v1.8.17 // indirect
)

replace github.com/pterosocket/pterosocket-go => ../..
