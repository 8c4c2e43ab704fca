package etcd

import (
	"context"
	"slices"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"kforge.dev/kforge/pkg/diag"
)

// Remove takes a member, named by name or id, out of the cluster. It refuses
// what would lose quorum. A member that is no longer there is no error: gone
// tells whether this call removed one. What the member holds on its host's
// disk stays.
func (c *Cluster) Remove(ctx context.Context, nameOrID string) (gone *Member, err error) {
	members, err := c.Members(ctx)
	if err != nil {
		return nil, err
	}
	m, err := Find(members, nameOrID)
	if diag.KindOf(err) == diag.NotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if err := MayRemove(members, m.ID); err != nil {
		return nil, err
	}
	if m.Leader { // handed over first: an election would stop all writes for a second
		if next, _ := successor(members, m.Name); next != nil {
			if err := c.handOver(ctx, m, *next); err != nil {
				return nil, err
			}
		}
	}
	rctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if _, err := c.client.MemberRemove(rctx, m.ID); err != nil {
		return nil, explain("remove etcd member "+m.Title(), err)
	}
	return &m, nil
}

// successor gives the leader by its name, and who can lead in its place: nobody
// where the member does not lead, or no other one is able to.
func successor(members []Member, name string) (next, leader *Member) {
	at := slices.IndexFunc(members, func(m Member) bool { return m.Leader && m.Name == name && len(m.ClientURLs) > 0 })
	to := slices.IndexFunc(members, func(m Member) bool { return m.Name != name && m.Healthy && !m.Learner })
	if at < 0 || to < 0 {
		return nil, nil
	}
	return &members[to], &members[at]
}

// handOver makes a member the leader in place of another one, which alone can
// do that.
func (c *Cluster) handOver(ctx context.Context, leader, next Member) error {
	one, err := c.only(leader.ClientURLs[0])
	if err != nil {
		return err
	}
	defer one.Close()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if _, err := one.client.MoveLeader(ctx, next.ID); err != nil {
		return explain("hand over from etcd member "+leader.Title(), err)
	}
	return nil
}

// Defragmented tells of a member that gave back space.
type Defragmented struct {
	Member  string  `json:"member"`
	Leader  bool    `json:"leader"`
	Before  int64   `json:"before"` // bytes on the disk
	After   int64   `json:"after"`
	Seconds float64 `json:"seconds"` // in which it answered nobody
}

// defragTime bounds one member's defragmentation: it copies the whole database.
const defragTime = 5 * time.Minute

// Defragment makes each member that is Wasteful write its data anew, without
// what is unused. A member answers nobody meanwhile, so they take turns, whoever
// leads last, and each begins only when all are healthy. tell is told of each as
// it is done. Alarms for lack of space are taken back in the end.
func (c *Cluster) Defragment(ctx context.Context, tell func(Defragmented)) error {
	members, err := c.Members(ctx)
	if err != nil {
		return err
	}
	full, done := onlyFull(members), map[uint64]bool{}
	for range members {
		// NOSPACE is what defragmenting may mend, and no reason to wait.
		if !onlyFull(members) {
			if members, err = c.WaitHealthy(ctx, 0, time.Minute); err != nil {
				return &diag.Error{Op: "defragment etcd", Err: err}
			}
		}
		for _, m := range leaderLast(members) {
			if done[m.ID] || !Wasteful(m) {
				continue
			}
			one, err := c.defragment(ctx, m)
			if err != nil {
				return explain("defragment etcd member "+m.Title(), err)
			}
			done[m.ID] = true
			tell(one)
			break
		}
	}
	if full {
		return c.disarm(ctx)
	}
	return nil
}

func (c *Cluster) defragment(ctx context.Context, m Member) (Defragmented, error) {
	ctx, cancel := context.WithTimeout(ctx, defragTime)
	defer cancel()
	start := time.Now()
	if _, err := c.client.Defragment(ctx, m.ClientURLs[0]); err != nil {
		return Defragmented{}, err
	}
	took := time.Since(start)
	s, err := c.status(ctx, m.ClientURLs[0])
	if err != nil {
		return Defragmented{}, err
	}
	return Defragmented{Member: m.Title(), Leader: m.Leader, Before: m.DBSize, After: s.DbSize, Seconds: took.Seconds()}, nil
}

// leaderLast gives the members in the order in which they may stop for a while.
func leaderLast(members []Member) []Member {
	out := slices.Clone(members)
	slices.SortStableFunc(out, func(a, b Member) int {
		switch {
		case a.Leader == b.Leader:
			return 0
		case a.Leader:
			return 1
		}
		return -1
	})
	return out
}

// onlyFull tells whether a lack of space is all that ails the members.
func onlyFull(members []Member) bool {
	full := false
	for _, m := range members {
		if m.Healthy {
			continue
		}
		if len(m.Alarms) != 1 || m.Alarms[0] != "NOSPACE" {
			return false
		}
		full = true
	}
	return full
}

// disarm takes back the alarms for lack of space: while one stands, etcd takes
// no writes. A member that has still none raises it again.
func (c *Cluster) disarm(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for _, a := range c.alarms(ctx) {
		if a.Alarm.String() != "NOSPACE" {
			continue
		}
		if _, err := c.client.AlarmDisarm(ctx, (*clientv3.AlarmMember)(a)); err != nil {
			return explain("disarm etcd's alarm", err)
		}
	}
	return nil
}
