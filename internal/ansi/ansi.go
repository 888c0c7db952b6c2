// Package ansi takes the danger out of what a game prints: escape sequences that colour a line are harmless, the others
// can move an operator's cursor, change his window's title, or make his terminal type.
package ansi

import (
	"strings"
	"unicode/utf8"
)

// Plain returns s without escape sequences and without control characters but tab.
func Plain(s string) string { return filter(s, false) }

// Colours returns s with the escape sequences that colour text (SGR) as the only ones left, reset at its end if there
// are any, and without control characters but tab, or characters that reverse the direction of writing.
func Colours(s string) string {
	s = strings.Map(func(r rune) rune {
		if r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069' {
			return utf8.RuneError
		}
		return r
	}, filter(s, true))
	if strings.Contains(s, "\x1b") {
		s += "\x1b[0m"
	}
	return s
}

// filter removes control characters but tab, and escape sequences, but those that colour text if colours are wanted.
func filter(s string, colours bool) string {
	if !strings.ContainsFunc(s, isControl) {
		return s // ContainsFunc takes a lone byte for U+FFFD, which is what a terminal makes of it
	}
	// Halves of characters must not become whole ones by what is removed between them.
	s = strings.ToValidUTF8(s, string(utf8.RuneError))
	var out strings.Builder
	out.Grow(len(s))
	for s != "" {
		r, n := utf8.DecodeRuneInString(s)
		keep := r == '\t' || !isControl(r)
		if length := escapeLen(s); length > 0 {
			n, keep = length, colours && isColour(s[:length])
		}
		if keep {
			out.WriteString(s[:n])
		}
		s = s[n:]
	}
	return out.String()
}

// isColour reports whether seq is ESC [ parameters m, the parameters of digits, semicolons and colons.
func isColour(seq string) bool {
	params, csi := strings.CutPrefix(seq, "\x1b[")
	params, sgr := strings.CutSuffix(params, "m")
	return csi && sgr && len(seq) <= 40 && strings.Trim(params, "0123456789;:") == ""
}

// isControl reports C0 and C1 control characters and DEL.
func isControl(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 }

// escapeLen returns the length of the escape sequence at the start of s, 0 if there is none. A sequence that is cut off
// reaches to the end of s. (ECMA-48: CSI with parameter and intermediate bytes; OSC, DCS, SOS, PM and APC up to ST or
// BEL; and ESC with intermediates.)
func escapeLen(s string) int {
	r, i := utf8.DecodeRuneInString(s)
	if r == 0x1b && len(s) > 1 && strings.IndexByte("[]PX^_", s[1]) >= 0 {
		r, i = rune(s[1])+0x40, 2 // the C1 character that the two stand for
	}
	var most byte // of the bytes before the final one
	switch r {
	case 0x1b:
		most = 0x2f
	case 0x9b: // CSI
		most = 0x3f
	case 0x90, 0x98, 0x9d, 0x9e, 0x9f: // a string
		for ; i < len(s); i++ {
			switch {
			case s[i] == '\a':
				return i + 1
			case strings.HasPrefix(s[i:], "\x1b\\"), strings.HasPrefix(s[i:], "\u009c"):
				return i + 2
			}
		}
		return i
	default:
		return 0
	}
	for i < len(s) && s[i] >= 0x20 && s[i] <= most {
		i++
	}
	if i < len(s) && s[i] >= 0x30 && s[i] <= 0x7e { // the final byte; anything else stands for itself
		i++
	}
	return i
}
