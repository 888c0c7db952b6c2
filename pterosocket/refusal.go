package pterosocket

import "strings"

// A daemon says why it refuses a token in words only. Source: the daemons, measured and read.

// withoutEventID cuts the "Error Event [uuid]: " that stands before an answer to auth. Without it, the message is about
// the token in use.
func withoutEventID(message string) string {
	if _, text, ok := strings.Cut(message, "]: "); ok && strings.HasPrefix(message, "Error Event [") {
		return text
	}
	return message
}

// isAnswer reports whether a jwt error answers an auth. Calagopus answers with "invalid token: ...".
func isAnswer(message string) bool {
	return withoutEventID(message) != message || strings.HasPrefix(message, "invalid token")
}

// curable reports whether a fresh token helps.
func curable(message string) bool {
	return denied(message) ||
		strings.Contains(message, "exp claim is invalid") ||
		strings.Contains(message, "no jwt present") ||
		strings.Contains(message, "expired") // "token is expired", and Calagopus' "invalid token: ..."
}

// incurable reports whether a fresh token is known not to help.
func incurable(message string) bool {
	return strings.Contains(message, "mismatch") || strings.Contains(message, "permission")
}

// denied reports that the token was issued before, or within the same whole second as, the daemon's start or a
// revocation: the next one must not be asked for within that second.
func denied(message string) bool { return strings.Contains(message, "created too far in past") }

// masked is what a user without admin.websocket.errors reads instead of a reason. As the answer to auth it means a
// token that the daemon cannot read at all: a bad signature, or garbage.
const masked = "an unexpected error was encountered while handling this request"

// unreadable reports whether text, without an event id, says that a daemon could not read or verify a token: masked, or
// in the words of its library for those who may read them. A masked text can mean anything else as well.
func unreadable(text string) bool {
	return text == masked || strings.HasPrefix(text, "jwt: ") && !curable(text) && !incurable(text)
}
