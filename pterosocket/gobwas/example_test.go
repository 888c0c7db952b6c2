package gobwas_test

import (
	"context"
	"fmt"
	"time"

	"github.com/pterosocket/pterosocket-go/pterosocket"
	"github.com/pterosocket/pterosocket-go/pterosocket/gobwas"
	"github.com/pterosocket/pterosocket-go/pterosocket/pterotest"
)

func Example() {
	srv := pterotest.NewServer(pterotest.Config{})
	defer srv.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	events, commands, err := pterosocket.Connect(ctx, pterosocket.Config{
		Origin: srv.Origin(), APIKey: srv.APIKey(), Server: srv.ServerID(), HTTPClient: srv.Client(),
		Dialer: gobwas.Dialer{HTTPClient: srv.Client()},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer commands.Close()
	srv.Print("hello")
	for line := range pterosocket.Only[pterosocket.ConsoleOutput](events) {
		fmt.Println(line.Plain())
		break
	}
	// Output: hello
}
