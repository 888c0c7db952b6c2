package wire

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

// text reads a JSON string behind prefix, which ends with the opening quote, and returns its value and what follows the
// closing quote. The value points into data or into d.scratch, so it is gone with the next call. Like encoding/json it
// replaces invalid UTF-8 and lone surrogates by U+FFFD and refuses raw control characters.
func (d *Decoder) text(data []byte, prefix string) (value, rest []byte, ok bool) {
	start := len(prefix)
	if len(data) < start || string(data[:start]) != prefix {
		return nil, nil, false
	}
	pos := plain(data, start)
	if pos < len(data) && data[pos] == '"' {
		return data[start:pos], data[pos+1:], true
	}
	out := append(d.scratch[:0], data[start:pos]...)
	for pos < len(data) {
		switch c := data[pos]; {
		case c == '"':
			if cap(out) <= keepScratch {
				d.scratch = out
			}
			return out, data[pos+1:], true
		case c < ' ':
			return nil, nil, false
		case c == '\\':
			if out, pos, ok = unescape(out, data, pos+1); !ok {
				return nil, nil, false
			}
		default:
			r, size := utf8.DecodeRune(data[pos:])
			out = utf8.AppendRune(out, r) // RuneError where the bytes are invalid
			pos += size
		}
		start, pos = pos, plain(data, pos)
		out = append(out, data[start:pos]...)
	}
	return nil, nil, false
}

// escapes has what a letter behind a backslash stands for; 0: it stands for nothing, or is a u.
var escapes = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// unescape reads what follows a backslash.
func unescape(out, data []byte, pos int) (longer []byte, next int, ok bool) {
	if pos >= len(data) {
		return nil, 0, false
	}
	if c := data[pos]; c != 'u' {
		return append(out, escapes[c]), pos + 1, escapes[c] != 0
	}
	r, ok := hex4(data, pos+1)
	pos += 5
	if utf16.IsSurrogate(r) {
		var second rune
		if pos+2 <= len(data) && string(data[pos:pos+2]) == `\u` {
			second, _ = hex4(data, pos+2)
		}
		if r = utf16.DecodeRune(r, second); r != utf8.RuneError { // else it is a lone half; what follows stands for itself
			pos += 6
		}
	}
	return utf8.AppendRune(out, r), pos, ok
}

// hex4 reads four digits; for anything else it returns 0.
func hex4(data []byte, pos int) (r rune, ok bool) {
	if len(data)-pos < 4 {
		return 0, false
	}
	for _, c := range data[pos : pos+4] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// plain returns the position of the first byte from pos on that does not stand for itself in a JSON string: a quote, a
// backslash, a control character, or anything beyond ASCII, which must be checked. It looks at eight bytes at a time,
// since nearly all of what a console prints is plain.
func plain(data []byte, pos int) int {
	for ; len(data)-pos >= 8; pos += 8 {
		if found := special(binary.LittleEndian.Uint64(data[pos:])); found != 0 {
			return pos + bits.TrailingZeros64(found)/8
		}
	}
	for pos < len(data) {
		if c := data[pos]; c < ' ' || c >= utf8.RuneSelf || c == '"' || c == '\\' {
			break
		}
		pos++
	}
	return pos
}

// special has the highest bit set of each of x's eight bytes that does not stand for itself. It may have false alarms
// above the lowest of them, through what the subtractions borrow.
func special(x uint64) uint64 {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	quote, slash := x^(ones*'"'), x^(ones*'\\')
	// The usual test for a zero byte, and for a byte below a limit.
	return (x | (x - ones*' ') | (quote - ones) | (slash - ones)) & highs
}
