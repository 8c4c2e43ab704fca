package ui

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// listed is up to how many hosts are named one by one.
const listed = 5

// hostList names hosts in few words: "n1 n2 n3", "n[1-50] gpu-[01-03,07]".
func hostList(hosts []string) string {
	if len(hosts) <= listed {
		names := make([]string, len(hosts))
		for i, h := range hosts {
			names[i] = place(h)
		}
		return strings.Join(names, " ")
	}
	// Names that differ in their last number only are one group.
	type group struct {
		prefix, suffix string
		numbers        []string
	}
	var groups []*group
	byKey := make(map[string]*group)
	for _, h := range hosts {
		prefix, number, suffix := splitNumber(place(h))
		key := prefix + "\x00" + suffix
		if number == "" {
			key = "\x00" + h
		}
		g := byKey[key]
		if g == nil {
			g = &group{prefix: prefix, suffix: suffix}
			byKey[key] = g
			groups = append(groups, g)
		}
		if number != "" {
			g.numbers = append(g.numbers, number)
		}
	}
	out := make([]string, len(groups))
	for i, g := range groups {
		switch len(g.numbers) {
		case 0:
			out[i] = g.prefix
		case 1:
			out[i] = g.prefix + g.numbers[0] + g.suffix
		default:
			out[i] = g.prefix + "[" + ranges(g.numbers) + "]" + g.suffix
		}
	}
	return strings.Join(out, " ")
}

// splitNumber cuts a name around its last number.
func splitNumber(name string) (prefix, number, suffix string) {
	isDigit := func(r rune) bool { return r >= '0' && r <= '9' }
	end := strings.LastIndexFunc(name, isDigit) + 1
	begin := end
	for begin > 0 && isDigit(rune(name[begin-1])) {
		begin--
	}
	if begin == end || end-begin > 9 { // none, or a serial number: not a count
		return name, "", ""
	}
	return name[:begin], name[begin:end], name[end:]
}

// ranges writes numbers as 1-3,7. Leading zeros are kept: 08,09,10 is a range,
// 8,09 is none.
func ranges(numbers []string) string {
	value := func(s string) int { n, _ := strconv.Atoi(s); return n }
	slices.SortStableFunc(numbers, func(a, b string) int { return value(a) - value(b) })
	var out []string
	for i := 0; i < len(numbers); {
		j := i
		for j+1 < len(numbers) && numbers[j+1] == fmt.Sprintf("%0*d", len(numbers[j]), value(numbers[j])+1) {
			j++
		}
		if j > i {
			out = append(out, numbers[i]+"-"+numbers[j])
		} else {
			out = append(out, numbers[i])
		}
		i = j + 1
	}
	return strings.Join(out, ",")
}
