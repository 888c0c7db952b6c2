// Package ansi takes the danger out of what a game prints: escape sequences that colour a line are harmless, the others
// can move an operator's cursor, change his window's title, or make his terminal type.
package ansi

import (
	"strings"
	"unicode/utf8"
)

// Plain returns s without escape sequences and without control characters but tab.
func Plain(s string) string { return filter(s, func(string) bool { return false }) }

// Colours returns s with the escape sequences that colour text (SGR) as the only ones left, reset at its end if there
// are any, and without control characters but tab, or characters that reverse the direction of writing.
func Colours(s string) string {
	coloured := false
	out := filter(s, func(seq string) bool {
		ok := isColour(seq)
		coloured = coloured || ok
		return ok
	})
	out = strings.Map(func(r rune) rune {
		if r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069' {
			return utf8.RuneError
		}
		return r
	}, out)
	if coloured {
		out += "\x1b[0m"
	}
	return out
}

// filter removes control characters but tab, and the escape sequences that keep does not like.
func filter(s string, keep func(seq string) bool) string {
	if !strings.ContainsFunc(s, isControl) {
		return s // ContainsFunc takes a lone byte for U+FFFD, which is what a terminal makes of it
	}
	// Halves of characters must not become whole ones by what is removed between them.
	s = strings.ToValidUTF8(s, string(utf8.RuneError))
	var out strings.Builder
	out.Grow(len(s))
	for s != "" {
		if n := escapeLen(s); n > 0 {
			if keep(s[:n]) {
				out.WriteString(s[:n])
			}
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

// isColour reports whether seq is ESC [ parameters m, the parameters of digits, semicolons and colons.
func isColour(seq string) bool {
	if len(seq) < 3 || len(seq) > 40 || seq[:2] != "\x1b[" || seq[len(seq)-1] != 'm' {
		return false
	}
	for _, c := range seq[2 : len(seq)-1] {
		if (c < '0' || c > '9') && c != ';' && c != ':' {
			return false
		}
	}
	return true
}

// isControl reports C0 and C1 control characters and DEL.
func isControl(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 }

// escapeLen returns the length of the escape sequence at the start of s, 0 if there is none. A sequence that is cut off
// reaches to the end of s. (ECMA-48: CSI with parameter and intermediate bytes; OSC, DCS, SOS, PM and APC up to ST or
// BEL; and ESC with intermediates.)
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
