//go:build !unix

package main

// watchSize calls resized once: there is no signal for a changed size here.
func watchSize(resized func()) (stop func()) {
	resized()
	return func() {}
}
