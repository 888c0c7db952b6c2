// Not part of the library: its speed and size beside its peers'.
module github.com/pterosocket/pterosocket-go/internal/bench

go 1.26

require (
	github.com/coder/websocket v1.8.15
	github.com/gobwas/ws v1.5.0
	github.com/gorilla/websocket v1.5.3
	github.com/lxzan/gws v1.8.9
	github.com/pterosocket/pterosocket-go v0.0.0
	nhooyr.io/websocket v1.8.17
)

require (
	github.com/dolthub/maphash v0.1.0 // indirect
	github.com/gobwas/httphead v0.1.0 // indirect
	github.com/klauspost/compress v1.17.9 // indirect
)

require (
	github.com/pterosocket/pterosocket-go/pterosocket/gobwas v0.0.0
	golang.org/x/sync v0.18.0 // indirect
	golang.org/x/time v0.14.0 // indirect
)

replace (
	github.com/pterosocket/pterosocket-go => ../..
	github.com/pterosocket/pterosocket-go/pterosocket/gobwas => ../../pterosocket/gobwas
)
