package pterosocket

import (
	"strings"
	"unicode/utf8"
)

// Plain returns the line without ANSI escape sequences and without control characters but tab: fit for a log file or a chat.
func (e ConsoleOutput) Plain() string {
	if !strings.ContainsFunc(e.Line, isControl) {
		return e.Line
	}
	var out strings.Builder
	out.Grow(len(e.Line))
	for s := e.Line; s != ""; {
		if n := escapeLen(s); n > 0 {
			s = s[n:]
			continue
		}
		r, size := utf8.DecodeRuneInString(s)
		if r == '\t' || !isControl(r) {
			out.WriteString(s[:size])
		}
		s = s[size:]
	}
	return out.String()
}

// isControl reports C0 and C1 control characters and DEL.
func isControl(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 }

// escapeLen returns the length of the escape sequence at the start of s, 0 if there is none. A sequence that is cut off
// reaches to the end of s. (ECMA-48: CSI with parameter and intermediate bytes; OSC, DCS, SOS, PM and APC up to ST or BEL;
// and ESC with intermediates.)
func escapeLen(s string) int {
	csi, str := false, false
	i := 0
	switch {
	case strings.HasPrefix(s, "\x1b"):
		if i = 1; i == len(s) {
			return i
		}
		csi = s[i] == '['
		str = strings.IndexByte("]PX^_", s[i]) >= 0
		if csi || str {
			i++
		}
	case strings.HasPrefix(s, "\u009b"):
		csi, i = true, 2
	case strings.HasPrefix(s, "\u009d"), strings.HasPrefix(s, "\u0090"), strings.HasPrefix(s, "\u0098"), strings.HasPrefix(s, "\u009e"), strings.HasPrefix(s, "\u009f"):
		str, i = true, 2
	default:
		return 0
	}
	switch {
	case str:
		for ; i < len(s); i++ {
			switch {
			case s[i] == '\a':
				return i + 1
			case strings.HasPrefix(s[i:], "\x1b\\"), strings.HasPrefix(s[i:], "\u009c"):
				return i + 2
			}
		}
		return i
	case csi:
		for i < len(s) && s[i] >= 0x20 && s[i] <= 0x3f {
			i++
		}
	default:
		for i < len(s) && s[i] >= 0x20 && s[i] <= 0x2f {
			i++
		}
	}
	if i < len(s) && s[i] >= 0x30 && s[i] <= 0x7e { // the final byte; anything else stands for itself
		i++
	}
	return i
}
