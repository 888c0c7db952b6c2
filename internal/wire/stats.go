package wire

import "strconv"

// decodeStatsFast decodes the stats as every known daemon sends them: an object without white space, with known keys in
// any order. It reports false, with *p in any state, for everything else, valid or not.
func decodeStatsFast(text string, p *StatsPayload) bool {
	s := scanner{text: text}
	s.object(func(key string) {
		switch key {
		case "memory_bytes":
			p.MemoryBytes = s.uint()
		case "memory_limit_bytes":
			p.MemoryLimitBytes = s.uint()
		case "cpu_absolute":
			p.CPUAbsolute = s.float()
		case "uptime":
			p.UptimeMS = s.int()
		case "disk_bytes":
			p.DiskBytes = s.int()
		case "state":
			p.State = s.word()
		case "network":
			s.object(func(key string) {
				switch key {
				case "rx_bytes":
					p.Network.RxBytes = s.uint()
				case "tx_bytes":
					p.Network.TxBytes = s.uint()
				default:
					s.failed = true
				}
			})
		case "disk_io":
			if p.DiskIO == nil {
				p.DiskIO = new(DiskIOPayload)
			}
			s.object(func(key string) {
				switch key {
				case "read_bytes":
					p.DiskIO.ReadBytes = s.uint()
				case "write_bytes":
					p.DiskIO.WriteBytes = s.uint()
				default:
					s.failed = true
				}
			})
		default:
			s.failed = true
		}
	})
	return !s.failed && s.pos == len(s.text)
}

// A scanner walks over compact JSON of objects, numbers and plain words. The first surprise sets failed, after which
// nothing moves any more.
type scanner struct {
	text   string
	pos    int
	failed bool
}

// take passes the byte c if it comes next.
func (s *scanner) take(c byte) bool {
	if s.failed || s.pos >= len(s.text) || s.text[s.pos] != c {
		return false
	}
	s.pos++
	return true
}

func (s *scanner) expect(c byte) {
	if !s.take(c) {
		s.failed = true
	}
}

// object calls value for each key; value must read what follows the colon.
func (s *scanner) object(value func(key string)) {
	s.expect('{')
	if s.take('}') {
		return
	}
	for !s.failed {
		key := s.word()
		s.expect(':')
		if s.failed {
			return
		}
		value(key)
		if !s.take(',') {
			s.expect('}')
			return
		}
	}
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

// number returns the text of a JSON number.
func (s *scanner) number() string {
	start := s.pos
	s.take('-')
	if !s.take('0') {
		s.digits()
	}
	if s.take('.') {
		s.digits()
	}
	if s.take('e') || s.take('E') {
		if !s.take('+') {
			s.take('-')
		}
		s.digits()
	}
	return s.text[start:s.pos]
}

func (s *scanner) digits() {
	start := s.pos
	for s.pos < len(s.text) && s.text[s.pos] >= '0' && s.text[s.pos] <= '9' {
		s.pos++
	}
	if s.pos == start {
		s.failed = true
	}
}

func (s *scanner) uint() uint64 {
	n, err := strconv.ParseUint(s.number(), 10, 64)
	s.failed = s.failed || err != nil
	return n
}

func (s *scanner) int() int64 {
	n, err := strconv.ParseInt(s.number(), 10, 64)
	s.failed = s.failed || err != nil
	return n
}

func (s *scanner) float() float64 {
	f, err := strconv.ParseFloat(s.number(), 64)
	s.failed = s.failed || err != nil
	return f
}
