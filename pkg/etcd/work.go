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
	if len(w.Remove) == 0 && !w.Defragment && w.HandOver == "" {
		return nil, nil
	}
	members, err := c.Members(ctx)
	if err != nil {
		return nil, err
	}
	for _, name := range w.After {
		if m, err := Find(members, name); err == nil {
			members = without(members, m.ID)
		}
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
	if w.Defragment {
		for _, m := range leaderLast(members) {
			if Wasteful(m) {
				out = append(out, spec.Change{
					Resource: "etcd member " + m.Title(), Action: spec.Update, Why: "it answers nobody until it is done; members take turns",
					Detail: fmt.Sprintf("%s on the disk, %s of it used", Bytes(m.DBSize), Bytes(m.DBInUse)),
				})
			}
		}
	}
	if successor, m := successor(members, w.HandOver); successor != nil {
		out = append(out, handedOver(*m, *successor))
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
	if w.Defragment {
		err := c.Defragment(ctx, func(d Defragmented) {
			made = append(made, spec.Change{
				Resource: "etcd member " + d.Member, Action: spec.Update,
				Detail: fmt.Sprintf("%s on the disk to %s, in %.1f s", Bytes(d.Before), Bytes(d.After), d.Seconds),
			})
		})
		if err != nil {
			return made, err
		}
	}
	if w.Healthy != nil {
		within := 2 * time.Minute
		if w.Healthy.TimeoutSeconds > 0 {
			within = time.Duration(w.Healthy.TimeoutSeconds) * time.Second
		}
		if _, err := c.WaitHealthy(ctx, w.Healthy.Voters, within); err != nil {
			return made, err
		}
	}
	if w.HandOver == "" {
		return made, nil
	}
	members, err := c.Members(ctx)
	if err != nil {
		return made, err
	}
	next, m := successor(members, w.HandOver)
	if next == nil {
		return made, nil
	}
	if err := c.handOver(ctx, *m, *next); err != nil {
		return made, err
	}
	return append(made, handedOver(*m, *next)), nil
}

// Wasteful tells whether so much of a member's space is unused that taking it
// back is worth the time in which it does not answer: a tenth, and a megabyte.
func Wasteful(m Member) bool {
	unused := m.DBSize - m.DBInUse
	return unused > 1<<20 && unused > m.DBSize/10
}

// Bytes writes a size for people.
func Bytes(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%d KiB", (n+1023)/1024)
}

func removal(members []Member, m Member) spec.Change {
	return spec.Change{
		Resource: "etcd member " + m.Title(), Action: spec.Delete,
		Detail: fmt.Sprintf("id %s; after it %s", FormatID(m.ID), Without(members, m.ID)),
	}
}

func handedOver(from, to Member) spec.Change {
	return spec.Change{
		Resource: "etcd member " + from.Title(), Action: spec.Update, Why: "an election would stop all writes for a second",
		Detail: to.Title() + " leads in its place",
	}
}
