// Package pterotest is a fake panel and daemon in one process, for tests of programs that use package pterosocket, as
// net/http/httptest is for programs that use net/http.
//
//	srv := pterotest.NewServer(pterotest.Config{})
//	defer srv.Close()
//	events, commands, err := pterosocket.Connect(ctx, pterosocket.Config{
//		Origin: srv.Origin(), APIKey: srv.APIKey(), Server: srv.ServerID(), HTTPClient: srv.Client(),
//	})
//
// It speaks real HTTP and real websockets, over loopback or, with Config.InMemory, over a network in memory that works
// inside a testing/synctest bubble, where a day passes in a moment. It says what recorded daemons said, in their order
// and with their quirks: signed tokens that really end, a strict Origin check, commands that are silently ignored or
// overtake each other.
//
// Every fault that a daemon, a panel or a network can have is a method of Server: Drop, Freeze, RestartDaemon, Suspend,
// Delete, ExpireTokens, Transfer and so on. Received, Wait and Commands tell what arrived. Close ends everything and
// waits for every goroutine, so that a leak check after it tells of the leaks of the program under test.
package pterotest
