package ui

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// clean makes text from elsewhere harmless: one line, control and direction
// characters and bad UTF-8 visible as escapes. A host that prints "\x1b[2J"
// must not clear the admin's screen.
func clean(s string) string {
	s = strings.TrimRight(s, "\r\n")
	if strings.IndexFunc(s, hostile) < 0 && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == '\t':
			b.WriteString("    ")
		case r == '\n':
			b.WriteString("; ")
		case r == utf8.RuneError && !utf8.ValidString(s[i:i+min(3, len(s)-i)]):
			fmt.Fprintf(&b, "\\x%02x", s[i])
		case hostile(r) && r < 0x100:
			fmt.Fprintf(&b, "\\x%02x", r)
		case hostile(r):
			fmt.Fprintf(&b, "\\u%04x", r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func hostile(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }

// width is how many columns s takes.
func width(s string) int {
	n := 0
	for _, r := range s {
		n += runeWidth(r)
	}
	return n
}

func runeWidth(r rune) int {
	switch {
	case r < 0x300:
		return 1
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	case unicode.In(r, unicode.Han, unicode.Hangul, unicode.Hiragana, unicode.Katakana),
		r >= 0x3000 && r <= 0x303f, r >= 0xff01 && r <= 0xff60, r >= 0x1f300 && r <= 0x1faff:
		return 2
	}
	return 1
}

// cut shortens s to n columns and marks that it did; n <= 0 is no limit.
func (st style) cut(s string, n int) string {
	if n <= 0 || width(s) <= n {
		return s
	}
	mark := st.char(ellipsis)
	room := n - width(mark)
	if room < 0 {
		return strings.Repeat(".", n)
	}
	for i, r := range s {
		if room -= runeWidth(r); room < 0 {
			return s[:i] + mark
		}
	}
	return s
}

// pad fills s with spaces to n columns.
func pad(s string, n int) string {
	return s + strings.Repeat(" ", max(0, n-width(s)))
}

// seconds prints a duration as a person says it: 2.1s, 12s, 1m02s, 1h05m.
func seconds(s float64) string {
	d := time.Duration(s * float64(time.Second))
	switch {
	case s < 10:
		return fmt.Sprintf("%.1fs", max(0, s))
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(s))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
}

// size prints a size: 512 B, 38.2 MB.
func size(n int64) string {
	const k = 1000
	if n < k {
		return fmt.Sprintf("%d B", n)
	}
	f, unit := float64(n)/k, 0
	for f >= k && unit < 3 {
		f /= k
		unit++
	}
	return fmt.Sprintf("%.1f %cB", f, "kMGT"[unit])
}

// count prints a number with its noun: 1 host, 3 hosts.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// place names a host for a person.
func place(host string) string {
	if host == "" {
		return "cluster"
	}
	return clean(host)
}

// short is a step's id without its host.
func short(step, host string) string {
	for _, prefix := range []string{host + "/", "cluster/"} {
		if rest, ok := strings.CutPrefix(step, prefix); ok {
			return clean(rest)
		}
	}
	return clean(step)
}
