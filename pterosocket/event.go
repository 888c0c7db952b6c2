package pterosocket

// Event is what the channel returned by Connect carries. It is sealed: the types of this package are all there are, as
// values, for
//
//	switch ev := ev.(type) {
//	case pterosocket.ConsoleOutput:
//	case pterosocket.Stats:
//	}
//
// What a daemon sends and this package does not know comes as Unknown.
type Event interface {
	// Name returns the event's name as the npm package pterosocket spells it: the daemon's, with underscores for spaces.
	Name() string
	sealed()
}

// State is a server's power state: one of the constants, or what else the daemon said.
type State string

// The states that daemons report.
const (
	StateOffline  State = "offline"
	StateStarting State = "starting"
	StateRunning  State = "running"
	StateStopping State = "stopping"
)

// Permission is a permission of the panel, such as "control.console". "*" is all of them but those that begin with
// "admin.".
type Permission string

// The permissions that this package asks about.
const (
	PermissionAll     Permission = "*"
	PermissionConsole Permission = "control.console"
	PermissionStart   Permission = "control.start"
	PermissionStop    Permission = "control.stop" // kill needs it too
	PermissionRestart Permission = "control.restart"
)
