// A module of its own, so that whoever does not use it does not get gorilla/websocket into their go.sum.
module github.com/pterosocket/pterosocket-go/pterosocket/gorilla

go 1.25.0

require (
	github.com/gorilla/websocket v1.5.3
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
