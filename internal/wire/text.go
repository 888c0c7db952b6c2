package wire

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

// text reads a JSON string whose opening quote has been passed, and returns its value and the position behind the
// closing quote. The value points into data or into d.scratch, so it is gone with the next call. Like encoding/json it
// replaces invalid UTF-8 and lone surrogates by U+FFFD and refuses raw control characters.
func (d *Decoder) text(data []byte, pos int) (value []byte, next int, ok bool) {
	start := pos
	pos = plain(data, pos)
	if pos < len(data) && data[pos] == '"' {
		return data[start:pos], pos + 1, true
	}
	out := append(d.scratch[:0], data[start:pos]...)
	for pos < len(data) {
		switch c := data[pos]; {
		case c == '"':
			d.scratch = out[:0] // keep what has grown
			return out, pos + 1, true
		case c < ' ':
			return nil, 0, false
		case c == '\\':
			if out, pos, ok = unescape(out, data, pos+1); !ok {
				return nil, 0, false
			}
		default:
			r, size := utf8.DecodeRune(data[pos:])
			out = utf8.AppendRune(out, r) // RuneError where the bytes are invalid
			pos += size
		}
		end := plain(data, pos)
		out = append(out, data[pos:end]...)
		pos = end
	}
	return nil, 0, false
}

// unescape reads what follows a backslash.
func unescape(out, data []byte, pos int) ([]byte, int, bool) {
	if pos >= len(data) {
		return out, 0, false
	}
	c := data[pos]
	pos++
	switch c {
	case '"', '\\', '/':
		return append(out, c), pos, true
	case 'b':
		return append(out, '\b'), pos, true
	case 'f':
		return append(out, '\f'), pos, true
	case 'n':
		return append(out, '\n'), pos, true
	case 'r':
		return append(out, '\r'), pos, true
	case 't':
		return append(out, '\t'), pos, true
	case 'u':
		r, ok := hex4(data, pos)
		if !ok {
			return out, 0, false
		}
		pos += 4
		if utf16.IsSurrogate(r) {
			second, ok := rune(0), false
			if pos+2 <= len(data) && data[pos] == '\\' && data[pos+1] == 'u' {
				second, ok = hex4(data, pos+2)
			}
			if full := utf16.DecodeRune(r, second); ok && full != utf8.RuneError {
				return utf8.AppendRune(out, full), pos + 6, true
			}
			r = utf8.RuneError // a lone half; what follows it stands for itself
		}
		return utf8.AppendRune(out, r), pos, true
	}
	return out, 0, false
}

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
