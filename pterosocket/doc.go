// Package pterosocket is a client for the console of game servers on panels of the Pterodactyl family: Pterodactyl,
// Pelican and Calagopus. An API key of the panel opens a websocket to the server's daemon ("Wings"), which streams
// console lines, resources each second and power states, and takes commands and power actions.
//
//	events, commands, err := pterosocket.Connect(ctx, pterosocket.Config{
//		Origin: "https://panel.example.com", APIKey: "ptlc_...", Server: "1a2b3c4d",
//	})
//
// There are no callbacks: Connect returns a channel of typed events and a Commands sender, for select loops and
// pipelines. Under the one context given to Connect, a supervisor makes one connection after the other, and an errgroup
// runs each connection's reader, writer and token renewer. When the channel is closed, nothing of it is left.
//
// # What is promised
//
// Nothing is lost in silence. The reader never waits for the consumer: what a slow one misses is counted by a Lagged
// event in its place. After a reconnect the daemon's history is asked for, and what was missed comes before the lines
// that follow, with Replayed set; where it cannot be shown that nothing is missing, a Gap event stands. A command that
// a daemon would ignore in silence is refused with an error before it is sent.
//
// Tokens live ten minutes and are renewed on the live connection with time to spare. Reconnects are spaced by an
// exponential backoff with full jitter, reuse the token, and never ask the panel more than five times a minute.
//
// Commands reach the game in the order of the calls, although daemons run each message in a goroutine of its own, and
// at a pace that no daemon's limit is exceeded.
//
// # Many servers
//
// ConnectFleet connects to all servers of a key, or to some, under one budget of requests to the panel, and hands their
// events on through one channel. ListServers lists them. MarshalEvent and UnmarshalEvent turn events into JSON and back.
//
// # Testing
//
// Package pterotest is a fake panel and daemon for the tests of programs that use this package.
package pterosocket
