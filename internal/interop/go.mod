// Not part of the library: clients of other authors, held against pterotest.
module github.com/pterosocket/pterosocket-go/internal/interop

go 1.25.0

require github.com/pterosocket/pterosocket-go v0.0.0

require (
	github.com/golang-jwt/jwt/v5 v5.3.1 // indirect
	golang.org/x/sync v0.18.0 // indirect
	golang.org/x/time v0.14.0 // indirect
	nhooyr.io/websocket v1.8.17 // indirect
)

replace github.com/pterosocket/pterosocket-go => ../..
