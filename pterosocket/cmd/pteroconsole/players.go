package main

import (
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// players are the names that a game has printed. The zero value is ready to use.
type players struct {
	names []string // the newest last
}

const (
	maxPlayers = 500
	maxName    = 32
)

// What games print of players, behind the time and the thread that stand before it. The patterns are slow, and most
// lines lack even the words.
var patterns = []struct {
	words   string
	pattern *regexp.Regexp
}{
	{" joined the game", regexp.MustCompile(`(?:^|[\]:] +)([\pL\pN_.\-]+) joined the game`)},
	{" left the game", regexp.MustCompile(`(?:^|[\]:] +)([\pL\pN_.\-]+) left the game`)},
	{"> ", regexp.MustCompile(`(?:^|[\]:] +)<([\pL\pN_.\-]+)> `)},
}

const (
	listWords = "players online:"
	maxList   = 16 << 10 // bytes of a line that is looked at
)

// observe looks for names in a line, which has no escape sequences.
func (p *players) observe(line string) {
	line = line[:min(len(line), maxList)]
	for _, look := range patterns {
		if !strings.Contains(line, look.words) {
			continue
		}
		if m := look.pattern.FindStringSubmatch(line); m != nil {
			p.add(m[1])
		}
	}
	if _, list, ok := strings.Cut(line, listWords); ok {
		for name := range strings.SplitSeq(list, ",") {
			p.add(strings.TrimSpace(name))
		}
	}
}

func (p *players) add(name string) {
	if name == "" || len(name) > maxName || strings.ContainsAny(name, " \t") {
		return
	}
	p.names = slices.DeleteFunc(p.names, func(other string) bool { return other == name })
	p.names = append(p.names, strings.Clone(name)) // the line need not be kept
	p.names = p.names[max(0, len(p.names)-maxPlayers):]
}

// complete completes the word before the cursor: a colon command at the line's beginning, a player's name elsewhere. If
// there is more than one way, it goes as far as all of them have in common, and returns them.
func (p *players) complete(line string) (completed string, ways []string) {
	start := strings.LastIndexByte(line, ' ') + 1
	word := line[start:]
	words := p.names
	if start == 0 {
		if !strings.HasPrefix(word, ":") {
			return line, nil
		}
		words = colonCommands
	}
	if word == "" {
		return line, nil
	}
	for _, w := range words {
		if len(w) >= len(word) && strings.EqualFold(w[:len(word)], word) {
			ways = append(ways, w)
		}
	}
	slices.Sort(ways)
	switch len(ways) {
	case 0:
		return line, nil
	case 1:
		space := " "
		if start == 0 {
			space = "" // they take no argument
		}
		return line[:start] + ways[0] + space, nil
	}
	common := ways[0]
	for _, w := range ways[1:] {
		for !strings.HasPrefix(w, common) {
			_, n := utf8.DecodeLastRuneInString(common)
			common = common[:len(common)-n]
		}
	}
	if len(common) <= len(word) {
		return line, ways
	}
	return line[:start] + common, ways
}
