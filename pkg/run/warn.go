package run

import (
	"fmt"
	"slices"
	"strings"

	"kforge.dev/kforge/pkg/event"
)

// note is something to be told of a host; "" is the run as a whole.
type note struct{ host, text, hint string }

// warn tells notes in their order; what is the same on several hosts is told
// once, since a fleet of one kind has one thing to be told, not hundreds.
func (s *session) warn(notes []note) {
	type same struct{ text, hint string }
	hosts := map[same][]string{}
	for _, n := range notes {
		k := same{n.text, n.hint}
		hosts[k] = append(hosts[k], n.host)
	}
	for _, n := range notes {
		k := same{n.text, n.hint}
		on := slices.Compact(hosts[k])
		delete(hosts, k)
		switch {
		case len(on) == 0: // told
		case len(on) == 1:
			s.sink(event.Event{Event: event.Warning, Host: n.host, Text: n.text, Hint: n.hint})
		default:
			s.sink(event.Event{Event: event.Warning, Text: several(on, len(s.asked())) + ": " + n.text, Hint: n.hint})
		}
	}
}

// named is how many hosts are named before the rest is counted.
const named = 5

// several gives "all 3 hosts" or "2 hosts (n1, n3)".
func several(hosts []string, total int) string {
	if len(hosts) == total {
		return fmt.Sprintf("all %d hosts", total)
	}
	list := strings.Join(hosts[:min(named, len(hosts))], ", ")
	if len(hosts) > named {
		list += fmt.Sprintf(" and %d more", len(hosts)-named)
	}
	return fmt.Sprintf("%d hosts (%s)", len(hosts), list)
}
