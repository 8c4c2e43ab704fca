package etcd

import (
	"context"
	"fmt"
	"time"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/spec"
)

// Plan gives the changes that Apply would make. It changes nothing.
func (c *Cluster) Plan(ctx context.Context, w spec.EtcdWork) ([]spec.Change, error) {
	if len(w.Remove) == 0 {
		return nil, nil
	}
	members, err := c.Members(ctx)
	if err != nil {
		return nil, err
	}
	var out []spec.Change
	for _, name := range w.Remove {
		m, err := Find(members, name)
		if diag.KindOf(err) == diag.NotFound {
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := MayRemove(members, m.ID); err != nil {
			return nil, err
		}
		out = append(out, removal(members, m))
		members = without(members, m.ID)
	}
	return out, nil
}

// Apply does the work and gives the changes made, also when it fails.
func (c *Cluster) Apply(ctx context.Context, w spec.EtcdWork) ([]spec.Change, error) {
	var made []spec.Change
	for _, name := range w.Remove {
		members, err := c.Members(ctx)
		if err != nil {
			return made, err
		}
		gone, err := c.Remove(ctx, name)
		if err != nil {
			return made, err
		}
		if gone != nil {
			made = append(made, removal(members, *gone))
		}
	}
	if w.Healthy == nil {
		return made, nil
	}
	within := 2 * time.Minute
	if w.Healthy.TimeoutSeconds > 0 {
		within = time.Duration(w.Healthy.TimeoutSeconds) * time.Second
	}
	_, err := c.WaitHealthy(ctx, w.Healthy.Voters, within)
	return made, err
}

func removal(members []Member, m Member) spec.Change {
	return spec.Change{
		Resource: "etcd member " + m.Title(), Action: spec.Delete,
		Detail: fmt.Sprintf("id %s; after it %s", FormatID(m.ID), Without(members, m.ID)),
	}
}
