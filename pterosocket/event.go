package pterosocket

// Event is what the channel returned by Connect carries. The interface is sealed: only types of this package implement
// it. Events come as values, so a type switch looks like this:
//
//	switch ev := ev.(type) {
//	case pterosocket.ConsoleOutput:
//	case pterosocket.Stats:
//	}
//
// A daemon's event that this package has no type for comes as Unknown.
type Event interface {
	// Name returns the event's name as the npm package pterosocket spells it: the daemon's name, with underscores
	// instead of spaces.
	Name() string
	sealed()
}

// State is a server's power state: one of the constants below, or another word that the daemon used.
type State string

// The states that daemons report.
const (
	StateOffline  State = "offline"
	StateStarting State = "starting"
	StateRunning  State = "running"
	StateStopping State = "stopping"
)

// Permission is a permission of the panel, such as "control.console". "*" stands for all permissions except those that
// begin with "admin.".
type Permission string

// The permissions that this package checks.
const (
	PermissionAll     Permission = "*"
	PermissionConsole Permission = "control.console"
	PermissionStart   Permission = "control.start"
	PermissionStop    Permission = "control.stop" // kill needs it too
	PermissionRestart Permission = "control.restart"
)
