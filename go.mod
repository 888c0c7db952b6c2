module github.com/pterosocket/pterosocket-go

go 1.25.0

require (
	github.com/golang-jwt/jwt/v5 v5.3.1
	github.com/google/go-cmp v0.7.0
	go.uber.org/goleak v1.3.0
	golang.org/x/sync v0.18.0
	golang.org/x/time v0.14.0
	nhooyr.io/websocket v1.8.17
)
