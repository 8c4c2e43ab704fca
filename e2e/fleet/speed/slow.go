package speed

import (
	"fmt"

	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/preflight"
)

// elsewhere tells how many seconds after the run's start the last request came
// to a host that does not measure the slow one. Those that do wait for it.
func elsewhere(r Run, before, after state, slow string) (float64, error) {
	c, _, err := inventory.Load(after.Inventory)
	if err != nil {
		return 0, err
	}
	waits := map[string]bool{slow: true}
	for _, w := range preflight.Pairs(c) {
		switch slow {
		case w.From:
			waits[w.To] = true
		case w.To:
			waits[w.From] = true
		}
	}
	last := r.began
	for name, h := range after.Hosts {
		if h.Last.Equal(before.Hosts[name].Last) {
			return 0, fmt.Errorf("measure beside a slow host: %s was not asked anything", name)
		}
		if !waits[name] && h.Last.After(last) {
			last = h.Last
		}
	}
	return last.Sub(r.began).Seconds(), nil
}
