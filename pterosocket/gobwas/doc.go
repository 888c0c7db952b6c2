// Package gobwas opens pterosocket's websockets with github.com/gobwas/ws instead of nhooyr.io/websocket:
//
//	events, commands, err := pterosocket.Connect(ctx, pterosocket.Config{
//		Origin: origin, APIKey: key, Server: server,
//		Dialer: gobwas.Dialer{},
//	})
//
// Everything behaves the same; a connection costs less memory, and an event less time. The library parses and checks
// frames and headers and leaves the rest to its user, so a message that came in one piece is handed on where it lies,
// and an idle connection keeps half a KiB for reading and nothing for writing. Invalid UTF-8 is left to the decoder,
// which replaces it, as the default transport does. It is a module of its own, so that whoever does not use it does not
// download it.
package gobwas
