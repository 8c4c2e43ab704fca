package plan

import (
	"strings"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/spec"
)

// takeOver lets resources replace what somebody else put in their place; it is
// kept beside them.
func takeOver(resources []spec.Resource) {
	for i, r := range resources {
		switch {
		case r.File != nil:
			f := *r.File
			f.Takeover = true
			resources[i].File = &f
		case r.Archive != nil:
			a := *r.Archive
			a.Takeover = true
			resources[i].Archive = &a
		}
	}
}

// tellAdopted says which nodes are taken over, and refuses where another pod
// network than ours is on them: two of them would fight for the nodes.
func (b *builder) tellAdopted() error {
	var names []string
	for _, h := range b.hosts {
		if !h.adopt {
			continue
		}
		names = append(names, h.Name)
		for _, l := range h.facts.Leftovers {
			if l.Kind == "cni" && strings.HasPrefix(l.Path, "/etc/cni/net.d/") && !strings.Contains(l.Path, "flannel") {
				return diag.New(diag.Unsupported, "plan", "the pod network of this cluster is not flannel: %s is there, and kforge brings flannel only", l.Path).
					On(h.Name).WithHint("clusters with another pod network cannot be taken over yet")
			}
		}
	}
	if len(names) > 0 {
		b.note("", "look over the plan: kforge owns these files from then on; what was there is kept beside them, under .kforge-orig",
			"the cluster was made by kubeadm without kforge: %s taken over", verb(names))
	}
	return nil
}

func verb(names []string) string {
	if len(names) == 1 {
		return names[0] + " is"
	}
	return strings.Join(names, ", ") + " are"
}

// sameNetworks refuses networks that the running cluster does not have: they
// cannot be changed, and what follows from them would break it.
func sameNetworks(in Input) error {
	if in.Live == nil {
		return nil
	}
	var wrong, write []string
	for _, n := range []struct{ key, have, want string }{
		{"podCIDR", in.Live.Networks.PodCIDR, in.Cluster.PodCIDR},
		{"serviceCIDR", in.Live.Networks.ServiceCIDR, in.Cluster.ServiceCIDR},
		{"dnsDomain", in.Live.Networks.DNSDomain, in.Cluster.DNSDomain},
	} {
		if n.have != "" && n.have != n.want {
			wrong = append(wrong, "its "+n.key+" is "+n.have+", the inventory says "+n.want)
			write = append(write, n.key+": "+n.have)
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	return diag.New(diag.Invalid, "plan", "a cluster's networks cannot be changed: %s", strings.Join(wrong, "; ")).
		WithHint("write into spec.network of the inventory: %s", strings.Join(write, ", "))
}
