package pterosocket

import "strings"

// A daemon says only in words why it refuses a token. These words were measured, and read in the daemons' sources.

// withoutEventID cuts off the "Error Event [uuid]: " in front of an answer to auth. A message without it is about the
// token in use.
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

// denied reports whether the token was issued before the daemon's start or a revocation, or within the same whole
// second. The next token must not be asked for within that second.
func denied(message string) bool { return strings.Contains(message, "created too far in past") }

// masked is what a user without admin.websocket.errors gets instead of a reason. As the answer to auth it means that
// the daemon cannot read the token at all: its signature is bad, or it is garbage.
const masked = "an unexpected error was encountered while handling this request"

// unreadable reports whether text, without an event id, says that a daemon could not read or verify a token. Such a
// text is masked or, for those who may read them, in the words of the daemon's library. A masked text can also mean
// anything else.
func unreadable(text string) bool {
	return text == masked || strings.HasPrefix(text, "jwt: ") && !curable(text) && !incurable(text)
}
