// Package pterosocket is a client for the console of game servers on panels of the Pterodactyl family: Pterodactyl,
// Pelican and Calagopus. With an API key of the panel it opens a websocket to the server's daemon ("Wings"). The daemon
// sends console lines, resources each second and power states. It takes commands and power actions.
//
//	events, commands, err := pterosocket.Connect(ctx, pterosocket.Config{
//		Origin: "https://panel.example.com", APIKey: "ptlc_...", Server: "1a2b3c4d",
//	})
//
// There are no callbacks. Connect returns a channel of typed events and a Commands sender, for select loops and
// pipelines. The context given to Connect governs everything. A supervisor makes one connection after the other, and an
// errgroup runs each connection's reader, writer and token renewer. At the end the library closes the channel, and then
// Commands.Done when no goroutine is left.
//
// # What is promised
//
// Nothing is lost in silence. The reader never waits for the consumer. If a slow consumer misses events, a Lagged event
// in their place counts them. After a reconnect the library asks for the daemon's history. The missed lines come before
// the lines that follow, with Replayed set. A Gap event marks a place where the library cannot show that nothing is
// missing. If a daemon would ignore a command in silence, the library refuses it with an error before it is sent.
//
// Tokens live ten minutes. The library renews them on the live connection, with time to spare. It reconnects with an
// exponential backoff with full jitter, reuses the token, and never asks the panel more than five times a minute.
//
// Commands reach the game in the order of the calls, although daemons run each message in a goroutine of its own. They
// are paced so that no limit of the daemon is exceeded.
//
// # Many servers
//
// ConnectFleet connects to all servers of a key, or to some of them, under one budget of requests to the panel. All of
// their events come through one channel. ListServers lists the servers. MarshalEvent and UnmarshalEvent turn events
// into JSON and back.
//
// # Testing
//
// Package pterotest is a fake panel and daemon for the tests of programs that use this package.
package pterosocket
