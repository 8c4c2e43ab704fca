package inventory

import (
	"fmt"
	"strconv"
	"strings"
)

// Share gives how many of so many a text means: a number, or a percentage of
// them, rounded down. It is one at least.
func Share(text string, of int) (int, error) {
	number, percent := strings.CutSuffix(strings.TrimSpace(text), "%")
	n, err := strconv.Atoi(number)
	switch {
	case err != nil, n < 1, percent && n > 100:
		return 0, fmt.Errorf("%q is neither a number above 0 nor a percentage as \"10%%\"", text)
	case percent:
		n = of * n / 100
	}
	return max(n, 1), nil
}
