// Package gorilla opens pterosocket's websockets with github.com/gorilla/websocket instead of nhooyr.io/websocket:
//
//	events, commands, err := pterosocket.Connect(ctx, pterosocket.Config{
//		Origin: origin, APIKey: key, Server: server,
//		Dialer: gorilla.Dialer{},
//	})
//
// Everything behaves the same; a connection costs less memory, and an event less time. It is a module of its own, so that whoever does
// not use it does not download it.
package gorilla
