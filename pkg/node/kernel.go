package node

import (
	"strconv"
	"strings"
)

// KernelAtLeast compares the start of a release ("6.1.0-18-amd64"). A release
// that cannot be read counts as old.
func KernelAtLeast(release string, major, minor int) bool {
	a, rest, _ := strings.Cut(release, ".")
	end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
	if end >= 0 {
		rest = rest[:end]
	}
	x, err := strconv.Atoi(a)
	if err != nil {
		return false
	}
	y, err := strconv.Atoi(rest)
	if err != nil {
		return false
	}
	return x > major || x == major && y >= minor
}
