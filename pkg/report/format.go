package report

import (
	"fmt"
	"math"
	"strings"
)

// count gives "1 host" or "3 hosts"; noun gives the word alone.
func count(n int, what string) string { return fmt.Sprintf("%d %s", n, noun(n, what)) }

// grouped writes 19072 as 19,072.
func grouped(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func noun(n int, what string) string {
	if n == 1 {
		return what
	}
	return what + "s"
}

// binary gives memory as it is sold: 768 GiB, 5.9 TiB.
func binary(n uint64) string { return scaled(n, 1024, "B", "KiB", "MiB", "GiB", "TiB", "PiB") }

// decimal gives disks as they are sold: 960 GB, 4 TB.
func decimal(n uint64) string { return scaled(n, 1000, "B", "kB", "MB", "GB", "TB", "PB") }

func scaled(n uint64, base float64, units ...string) string {
	v, i := float64(n), 0
	// 0.995: what rounds to the next unit is shown in it.
	for v >= base*0.995 && i < len(units)-1 {
		v, i = v/base, i+1
	}
	text := fmt.Sprintf("%.0f", v)
	if v < 9.95 {
		text = strings.TrimSuffix(fmt.Sprintf("%.1f", v), ".0")
	}
	return text + " " + units[i]
}

// tight is decimal without the space and the B: it has to fit on a disk.
func tight(n uint64) string {
	return strings.TrimSuffix(strings.ReplaceAll(decimal(n), " ", ""), "B")
}

// speed gives a link's speed as it is printed on cards: 1G, 100G, 2.5G.
func speed(mbit int) string {
	switch {
	case mbit <= 0:
		return ""
	case mbit < 1000:
		return fmt.Sprintf("%dM", mbit)
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", float64(mbit)/1000), ".0") + "G"
}

// seconds gives 0.3 s, 12 s, 3 min 05 s.
func seconds(s float64) string {
	switch {
	case s < 9.95:
		return fmt.Sprintf("%.1f s", s)
	case s < 99.5:
		return fmt.Sprintf("%.0f s", s)
	}
	n := int(math.Round(s))
	if n < 3600 {
		return fmt.Sprintf("%d min %02d s", n/60, n%60)
	}
	return fmt.Sprintf("%d h %02d min", n/3600, n%3600/60)
}

// short cuts text to n characters.
func short(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return strings.TrimRight(string(r[:n-1]), " ") + "…"
	}
	return s
}

// round2 keeps coordinates short.
func round2(f float64) float64 { return math.Round(f*100) / 100 }
