//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"
)

// watchSize calls resized now and whenever the terminal's size has changed, until stop is called.
func watchSize(resized func()) (stop func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGWINCH)
	done := make(chan struct{})
	resized()
	go func() {
		defer close(done)
		for range signals {
			resized()
		}
	}()
	return func() {
		signal.Stop(signals)
		close(signals)
		<-done
	}
}
