package pterosocket_test

import "github.com/pterosocket/pterosocket-go/pterosocket"

// dialerUnderTest returns what the tests open websockets with, nil for the library's own. The module gobwas runs all of
// these tests with a file of its own in the place of this one.
func dialerUnderTest(pterosocket.Config) pterosocket.Dialer { return nil }
