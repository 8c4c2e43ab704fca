package plan

import (
	"slices"
	"strings"

	"kforge.dev/kforge/pkg/graph"
	"kforge.dev/kforge/pkg/spec"
)

// An apply that restarts the container runtime or the kubelet of a running
// cluster's nodes does so in turns: what is wrong with a setting then shows on
// the first nodes, and not on all. Whether a node is restarted is known when the
// hosts have told what they would change.

// readyStep is the end of a host's name of the step that sees its node ready.
const readyStep = "ready"

// disrupts tells whether a change takes a node out of service: the restart of one
// of two units. Several resources may be about one unit, and say more after its
// name.
func disrupts(c spec.Change) bool {
	unit, _, _ := strings.Cut(strings.TrimPrefix(c.Resource, "unit "), " ")
	return (c.Action == spec.Restart || c.Action == spec.Stop) && (unit == "containerd.service" || unit == "kubelet.service")
}

// Turns gives the steps with workers that are restarted in WindowWorkers, and
// with control planes one after the other, each behind the last one's readiness.
// live are the cluster's nodes; who is not ready does not wait for a turn, since
// nothing is lost and the apply may be what it needs. workers counts those in the
// window.
func Turns(steps []graph.Step, changes map[string][]spec.Change, live []LiveNode, planes []string) (out []graph.Step, workers int) {
	out = slices.Clone(steps)
	var turns []*outage
	for _, n := range live {
		t := outageOf(out, changes, n.Name)
		switch {
		case !n.Ready || t == nil:
		case slices.Contains(planes, n.Name):
			turns = append(turns, t)
		default:
			workers++
			for i := t.first; i <= t.last; i++ {
				if out[i].Host == n.Name {
					out[i].Window = WindowWorkers
				}
			}
		}
	}
	var before *outage
	for len(turns) > 0 {
		// Who others need comes first: the control plane that the run goes by.
		next := slices.IndexFunc(turns, func(t *outage) bool {
			return !slices.ContainsFunc(turns, func(o *outage) bool { return o != t && reaches(out, t.last, o.host) })
		})
		if next < 0 {
			break // they need each other, and so wait for each other already
		}
		t := turns[next]
		turns = slices.Delete(turns, next, next+1)
		if before != nil {
			out[t.first].Needs = append(slices.Clone(out[t.first].Needs), out[before.last].ID)
		}
		before = t
	}
	return out, workers
}

// outage is the part of a host's chain during which its node may be out of
// service: from the first restart to the step that sees the node ready.
type outage struct {
	host        string
	first, last int // of steps
}

func outageOf(steps []graph.Step, changes map[string][]spec.Change, host string) *outage {
	t := &outage{host: host, first: -1}
	for i, s := range steps {
		if s.Host != host || s.Beside {
			continue
		}
		if t.first < 0 && slices.ContainsFunc(changes[s.ID], disrupts) {
			t.first = i
		}
		if t.first >= 0 && s.ID == host+"/"+readyStep {
			t.last = i
		}
	}
	if t.first < 0 || t.last == 0 {
		return nil
	}
	return t
}

// reaches tells whether a step needs, by whatever way, one of the host's.
func reaches(steps []graph.Step, from int, host string) bool {
	at := map[string]int{}
	for i, s := range steps {
		at[s.ID] = i
	}
	seen := map[int]bool{}
	queue := []int{from}
	for len(queue) > 0 {
		i := queue[0]
		queue = queue[1:]
		for _, list := range [][]string{steps[i].Needs, steps[i].NeedsAny, steps[i].After} {
			for _, id := range list {
				n := at[id]
				if steps[n].Host == host {
					return true
				}
				if !seen[n] {
					seen[n] = true
					queue = append(queue, n)
				}
			}
		}
	}
	return false
}
