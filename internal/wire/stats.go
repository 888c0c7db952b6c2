package wire

import (
	"cmp"
	"strconv"
)

// decodeStatsFast decodes the stats as every known daemon sends them: an object without white space, with known keys in
// any order. It reports false, with *p in any state, for everything else, valid or not.
func decodeStatsFast(text string, p *StatsPayload) bool {
	s := scanner{text: text}
	s.object(func(key string) {
		switch key {
		case "memory_bytes":
			p.MemoryBytes = parse(&s, strconv.ParseUint)
		case "memory_limit_bytes":
			p.MemoryLimitBytes = parse(&s, strconv.ParseUint)
		case "cpu_absolute":
			p.CPUAbsolute = parse(&s, parseFloat)
		case "uptime":
			p.UptimeMS = parse(&s, strconv.ParseInt)
		case "disk_bytes":
			p.DiskBytes = parse(&s, strconv.ParseInt)
		case "state":
			p.State = s.word()
		case "network":
			s.pair("rx_bytes", &p.Network.RxBytes, "tx_bytes", &p.Network.TxBytes)
		case "disk_io":
			p.DiskIO = cmp.Or(p.DiskIO, new(DiskIOPayload))
			s.pair("read_bytes", &p.DiskIO.ReadBytes, "write_bytes", &p.DiskIO.WriteBytes)
		default:
			s.failed = true
		}
	})
	return !s.failed && s.pos == len(s.text)
}

// A scanner walks over compact JSON of objects, numbers and plain words. The first surprise sets failed, after which
// what it returns means nothing.
type scanner struct {
	text   string
	pos    int
	failed bool
}

// take passes the byte c if it comes next.
func (s *scanner) take(c byte) bool {
	if s.pos >= len(s.text) || s.text[s.pos] != c {
		return false
	}
	s.pos++
	return true
}

func (s *scanner) expect(c byte) {
	s.failed = !s.take(c) || s.failed
}

// object calls value for each key, of which there must be one; value must read what follows the colon.
func (s *scanner) object(value func(key string)) {
	s.expect('{')
	for more := true; more && !s.failed; more = s.take(',') {
		key := s.word()
		s.expect(':')
		value(key)
	}
	s.expect('}')
}

// pair reads an object of two numbers.
func (s *scanner) pair(key1 string, n1 *uint64, key2 string, n2 *uint64) {
	s.object(func(key string) {
		switch key {
		case key1:
			*n1 = parse(s, strconv.ParseUint)
		case key2:
			*n2 = parse(s, strconv.ParseUint)
		default:
			s.failed = true
		}
	})
}

// word reads a string of lower-case letters and underscores.
func (s *scanner) word() string {
	s.expect('"')
	start := s.pos
	for s.pos < len(s.text) && (s.text[s.pos] >= 'a' && s.text[s.pos] <= 'z' || s.text[s.pos] == '_') {
		s.pos++
	}
	word := s.text[start:s.pos]
	s.expect('"')
	return word
}

// number returns the text of a JSON number. An exponent it does not know: those are for encoding/json.
func (s *scanner) number() string {
	start := s.pos
	s.take('-')
	if !s.take('0') {
		s.digits()
	}
	if s.take('.') {
		s.digits()
	}
	return s.text[start:s.pos]
}

func (s *scanner) digits() {
	start := s.pos
	for s.pos < len(s.text) && s.text[s.pos] >= '0' && s.text[s.pos] <= '9' {
		s.pos++
	}
	s.failed = s.failed || s.pos == start
}

// parse reads a number as one of strconv's functions does.
func parse[T any](s *scanner, with func(text string, base, bits int) (T, error)) T {
	n, err := with(s.number(), 10, 64)
	s.failed = s.failed || err != nil
	return n
}

func parseFloat(text string, _, bits int) (float64, error) { return strconv.ParseFloat(text, bits) }
