package ansi

import (
	"strings"
	"testing"
	"unicode/utf8"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestFilters(t *testing.T) {
	for _, test := range []struct{ in, plain, colours string }{
		{"plain text", "plain text", "plain text"},
		{"tab\tstays", "tab\tstays", "tab\tstays"},
		{"\x1b[33m\x1b[1m[Pterodactyl Daemon]:\x1b[39m hi\x1b[0m", "[Pterodactyl Daemon]: hi", "\x1b[33m\x1b[1m[Pterodactyl Daemon]:\x1b[39m hi\x1b[0m\x1b[0m"},
		{"\x1b[38;2;1;2;3mrgb", "rgb", "\x1b[38;2;1;2;3mrgb\x1b[0m"},
		{"\x1b]0;title\x07x", "x", "x"},
		{"\x1b]0;title\x1b\\x", "x", "x"},
		{"\x1bPdcs\x1b\\x", "x", "x"},
		{"\x1b[2J\x1b[Hcls", "cls", "cls"},
		{"\x1b[6nreport", "report", "report"},
		{"\x1b[>4;2mnot a colour", "not a colour", "not a colour"},
		{"\x1bcreset", "reset", "reset"},
		{"\x1b(0line drawing", "line drawing", "line drawing"},
		{"\u009b31mC1 \u009d0;t\u009cx", "C1 x", "C1 x"},
		{"mid\r\n return\r", "mid return", "mid return"},
		{"bell\x07\x00\x08", "bell", "bell"},
		{"cut \x1b", "cut ", "cut "},
		{"cut \x1b[31", "cut ", "cut "},
		{"cut \x1b]0;never ends", "cut ", "cut "},
		{"héllo ✓ 😀", "héllo ✓ 😀", "héllo ✓ 😀"},
		{"\u202eevil", "\u202eevil", "\ufffdevil"},
	} {
		if got := Plain(test.in); got != test.plain {
			t.Errorf("Plain(%q) = %q, want %q", test.in, got, test.plain)
		}
		if got := Colours(test.in); got != test.colours {
			t.Errorf("Colours(%q) = %q, want %q", test.in, got, test.colours)
		}
	}
}

func FuzzFilters(f *testing.F) {
	for _, s := range []string{"\x1b[31mred\x1b[0m", "\x1b]0;t\x07", "\x1b[\x1b[m", "\u009b0m", "\x1b\x1b", "\x1b[31;\x00m", "\xff\x1b[m"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		plain := Plain(s)
		if strings.ContainsFunc(strings.ReplaceAll(plain, "\t", ""), isControl) {
			t.Errorf("Plain(%q) = %q holds a control character", s, plain)
		}
		if !strings.ContainsFunc(s, isControl) && plain != s {
			t.Errorf("Plain(%q) = %q changed plain text", s, plain)
		}
		// What is left of escapes must be colours and nothing else.
		for rest := Colours(s); ; {
			i := strings.IndexFunc(rest, func(r rune) bool { return r != '\t' && isControl(r) })
			if i < 0 {
				break
			}
			n := escapeLen(rest[i:])
			if n == 0 || !isColour(rest[i:i+n]) {
				t.Fatalf("Colours(%q) leaves %q", s, rest[i:])
			}
			rest = rest[i+n:]
		}
		if utf8.ValidString(s) && !utf8.ValidString(plain) {
			t.Errorf("Plain(%q) = %q is not valid UTF-8", s, plain)
		}
	})
}
