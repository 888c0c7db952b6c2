// Package pterotest is a fake panel and daemon in one process. It is for tests of programs that use package
// pterosocket, as net/http/httptest is for programs that use net/http.
//
//	srv := pterotest.NewServer(pterotest.Config{})
//	defer srv.Close()
//	events, commands, err := pterosocket.Connect(ctx, pterosocket.Config{
//		Origin: srv.Origin(), APIKey: srv.APIKey(), Server: srv.ServerID(), HTTPClient: srv.Client(),
//	})
//
// It speaks real HTTP and real websockets over loopback. With Config.InMemory it uses a network in memory that works
// inside a testing/synctest bubble, where a day passes in a moment. It says what recorded daemons said, in their order
// and with their quirks. Signed tokens really end, the Origin check is strict, and commands are ignored in silence or
// overtake each other.
//
// Every fault of a daemon, a panel or a network is a method of Server: Drop, Freeze, RestartDaemon, Suspend, Delete,
// ExpireTokens, Transfer and so on. Received, Wait and Commands tell what arrived. Close ends everything and waits for
// every goroutine. So a leak check after Close shows only the leaks of the program under test.
package pterotest
