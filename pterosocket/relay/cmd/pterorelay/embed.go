package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// An embedded is a NATS server inside the program.
type embedded struct {
	url, dir string
	stop     func()
}

// startNATS starts a NATS server with JetStream. address "": on loopback. dir "": in a temporary folder, which goes when
// the server stops.
func startNATS(address, dir string) (*embedded, error) {
	host, port, err := listenOn(address)
	if err != nil {
		return nil, err
	}
	e := &embedded{dir: dir}
	remove := func() {}
	if dir == "" {
		if e.dir, err = os.MkdirTemp("", "pterorelay-"); err != nil {
			return nil, fmt.Errorf("a folder for NATS: %w; give one with -store", err)
		}
		remove = func() { _ = os.RemoveAll(e.dir) } // it is a temporary one
	}
	ns, err := server.NewServer(&server.Options{
		ServerName: "pterorelay", Host: host, Port: port, JetStream: true, StoreDir: e.dir, NoLog: true, NoSigs: true,
	})
	if err != nil {
		remove()
		return nil, fmt.Errorf("the NATS server inside the program: %w", err)
	}
	ns.Start()
	e.stop = func() {
		ns.Shutdown()
		ns.WaitForShutdown()
		remove()
	}
	if !ns.ReadyForConnections(10*time.Second) || !ns.JetStreamEnabled() {
		e.stop()
		return nil, fmt.Errorf("the NATS server inside the program does not come up; is %s writable, and not in use by another?", e.dir)
	}
	e.url = ns.ClientURL()
	return e, nil
}

// listenOn returns where the NATS server listens. Without a wish that is NATS' own port, if it is free.
func listenOn(address string) (host string, port int, err error) {
	const usual = "127.0.0.1:4222"
	wanted := address
	if wanted == "" {
		wanted = usual
	}
	l, err := net.Listen("tcp", wanted)
	if errors.Is(err, syscall.EADDRINUSE) && address == "" {
		return "127.0.0.1", server.RANDOM_PORT, nil
	}
	if err != nil {
		return "", 0, fmt.Errorf("-listen: %w", err)
	}
	defer l.Close()
	host, text, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return "", 0, fmt.Errorf("-listen: %w", err)
	}
	port, err = strconv.Atoi(text)
	return host, port, err
}
