// Package wire turns the frames of a game-server daemon's websocket into Go values and back. A frame is one JSON
// object,
//
//	{"event":"console output","args":["a line"]}
//
// in a text message; a daemon ends it with a line feed. Package wire is pure: no I/O, no clock, no goroutines.
//
// The shapes that daemons send are decoded in one pass without reflection. Anything else that is JSON goes to
// encoding/json, which is also the oracle that the fuzz tests compare with.
package wire
