package pterosocket

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/pterosocket/pterosocket-go/internal/wire"
)

// Packet is a message to the daemon. Its Args are joined into one argument, as Wings does, since Calagopus reads only
// the first.
type Packet struct {
	Event string
	Args  []string
}

// PowerAction is what WritePower sends.
type PowerAction string

// The power actions that daemons know.
const (
	PowerStart   PowerAction = "start"
	PowerStop    PowerAction = "stop"
	PowerRestart PowerAction = "restart"
	PowerKill    PowerAction = "kill"
)

// powerNeeds are the permissions for the power actions.
var powerNeeds = map[PowerAction]Permission{
	PowerStart: PermissionStart, PowerRestart: PermissionRestart, PowerStop: PermissionStop, PowerKill: PermissionStop,
}

// CommandPacket returns the packet of a console command.
func CommandPacket(command string) Packet {
	return Packet{Event: wire.SendCommand, Args: []string{command}}
}

// PowerPacket returns the packet of a power action.
func PowerPacket(action PowerAction) Packet {
	return Packet{Event: wire.SetState, Args: []string{string(action)}}
}

// maxFrame is the longest frame in bytes that every daemon takes. Pelican closes the connection on a longer one (code
// 1009).
const maxFrame = 4096

// arg returns the Args joined into one.
func (p Packet) arg() string { return strings.Join(p.Args, "") }

// encode checks what can be checked without a connection, and returns the frame.
func (p Packet) encode() ([]byte, error) {
	arg := p.arg()
	switch p.Event {
	case wire.Auth:
		return nil, fmt.Errorf("%w: tokens are sent by the library itself", ErrInvalidCommand)
	case "":
		return nil, fmt.Errorf("%w: the packet has no event", ErrInvalidCommand)
	case wire.SendCommand:
		// The daemon appends a line feed, so a line break inside makes two commands. Games cut a line at NUL.
		if i := strings.IndexAny(arg, "\r\n\x00"); i >= 0 {
			return nil, fmt.Errorf("%w: it holds %q; send one command a call", ErrInvalidCommand, arg[i])
		}
	case wire.SetState:
		if powerNeeds[PowerAction(arg)] == "" {
			return nil, fmt.Errorf("%w: got %q", ErrInvalidPowerAction, printable(arg, 40))
		}
	}
	if !utf8.ValidString(arg) || !utf8.ValidString(p.Event) {
		return nil, fmt.Errorf("%w: it is not valid UTF-8", ErrInvalidCommand)
	}
	frame := wire.AppendFrame(nil, p.Event, arg)
	if len(frame) > maxFrame {
		return nil, fmt.Errorf("%w: its frame has %d bytes and a daemon takes %d", ErrInvalidCommand, len(frame), maxFrame)
	}
	return frame, nil
}

// needs returns the permission without which a daemon ignores the packet in silence, or "" if it needs none.
func (p Packet) needs() Permission {
	switch p.Event {
	case wire.SendCommand:
		return PermissionConsole
	case wire.SetState:
		return powerNeeds[PowerAction(p.arg())]
	}
	return ""
}

// isKill reports whether the packet kills the server. A kill must not wait behind commands.
func (p Packet) isKill() bool { return p.Event == wire.SetState && PowerAction(p.arg()) == PowerKill }

// needsServer reports whether a daemon ignores the packet in silence while the server is offline.
func (p Packet) needsServer() bool { return p.Event == wire.SendCommand || p.Event == wire.SendLogs }
