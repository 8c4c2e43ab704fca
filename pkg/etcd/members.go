package etcd

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"kforge.dev/kforge/pkg/diag"
)

// Member is one member and, where it answers, how it is.
type Member struct {
	ID uint64 `json:"id,string"`
	// Name is empty for a member that was added and has never started.
	Name       string   `json:"name"`
	PeerURLs   []string `json:"peerURLs"`
	ClientURLs []string `json:"clientURLs"`
	Learner    bool     `json:"learner"`
	// Healthy: it answers, knows a leader, and has no alarm of its own.
	Healthy bool   `json:"healthy"`
	Leader  bool   `json:"leader"`
	Version string `json:"version,omitempty"`
	// Index is the last raft entry that it has, Applied the last one that its
	// data shows.
	Index   uint64 `json:"index,omitempty"`
	Applied uint64 `json:"applied,omitempty"`
	Term    uint64 `json:"term,omitempty"`
	// DBSize is what the data takes on the disk, DBInUse what of it is used;
	// bytes. DBQuota is where writing ends; 0 when the member does not tell.
	DBSize  int64 `json:"dbSize,omitempty"`
	DBInUse int64 `json:"dbInUse,omitempty"`
	DBQuota int64 `json:"dbQuota,omitempty"`
	// Alarms are NOSPACE and CORRUPT.
	Alarms []string `json:"alarms,omitempty"`
	// Problem is why it is not healthy.
	Problem string `json:"problem,omitempty"`
}

// Title is what a person calls the member.
func (m Member) Title() string {
	if m.Name != "" {
		return m.Name
	}
	if len(m.PeerURLs) > 0 {
		return address(m.PeerURLs[0])
	}
	return FormatID(m.ID)
}

// FormatID writes a member's id as etcd's own tools do.
func FormatID(id uint64) string { return strconv.FormatUint(id, 16) }

// Members gives all members with their state, by name. Members that do not
// answer are in it with their problem: the error is for a cluster of which no
// member answers. It works without quorum too.
func (c *Cluster) Members(ctx context.Context) ([]Member, error) {
	list, err := c.list(ctx)
	if err != nil {
		return nil, err
	}
	members := make([]Member, len(list))
	var wg sync.WaitGroup
	for i, m := range list {
		wg.Go(func() { members[i] = c.member(ctx, m) })
	}
	wg.Wait()
	var alarms []*etcdserverpb.AlarmMember
	if Stand(members).Holds() {
		alarms = c.alarms(ctx)
	}
	for i := range members {
		for _, a := range alarms {
			if a.MemberID != members[i].ID {
				continue
			}
			members[i].Alarms = append(members[i].Alarms, a.Alarm.String())
			members[i].Healthy = false
			members[i].Problem = "alarm " + a.Alarm.String()
		}
	}
	slices.SortFunc(members, func(a, b Member) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	return members, nil
}

// list asks any member that answers for all members. Its own view is enough: a
// cluster without quorum must be seen too.
func (c *Cluster) list(ctx context.Context) ([]*etcdserverpb.Member, error) {
	const op = "list etcd's members"
	var errs []error
	for _, endpoint := range c.client.Endpoints() {
		list, err := c.listAt(ctx, endpoint)
		if err == nil {
			return list, nil
		}
		if ctx.Err() != nil {
			return nil, explain(op, context.Cause(ctx))
		}
		errs = append(errs, diag.Wrap(diag.KindOf(err), address(endpoint), err))
	}
	return nil, &diag.Error{Kind: diag.Cluster, Op: op, Msg: "no member answers", Err: errors.Join(errs...),
		Hint: "see on a control plane whether etcd runs: crictl ps -a --name etcd"}
}

func (c *Cluster) listAt(ctx context.Context, endpoint string) ([]*etcdserverpb.Member, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := c.client.Dial(endpoint)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	reply, err := etcdserverpb.NewClusterClient(conn).MemberList(ctx, &etcdserverpb.MemberListRequest{})
	if err != nil {
		return nil, err
	}
	return reply.Members, nil
}

// member looks at one member, at the first of its addresses that answers.
func (c *Cluster) member(ctx context.Context, m *etcdserverpb.Member) Member {
	out := Member{ID: m.ID, Name: m.Name, PeerURLs: m.PeerURLs, ClientURLs: m.ClientURLs, Learner: m.IsLearner}
	if len(m.ClientURLs) == 0 {
		out.Problem = "was added, and has never started"
		return out
	}
	for _, endpoint := range m.ClientURLs {
		s, err := c.status(ctx, endpoint)
		if err != nil {
			out.Problem = short(err)
			continue
		}
		out.Problem = strings.Join(s.Errors, "; ")
		if s.Leader == 0 && out.Problem == "" {
			out.Problem = "it knows no leader"
		}
		out.Healthy = out.Problem == ""
		out.Leader = s.Leader == m.ID
		out.Version, out.Term = s.Version, s.RaftTerm
		out.Index, out.Applied = s.RaftIndex, s.RaftAppliedIndex
		out.DBSize, out.DBInUse, out.DBQuota = s.DbSize, s.DbSizeInUse, s.DbSizeQuota
		return out
	}
	return out
}

func (c *Cluster) status(ctx context.Context, endpoint string) (*clientv3.StatusResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return c.client.Status(ctx, endpoint)
}

// alarms are asked through raft: without quorum the question would wait for its
// time-out, and each member's own answer says enough.
func (c *Cluster) alarms(ctx context.Context) []*etcdserverpb.AlarmMember {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	reply, err := c.client.AlarmList(ctx)
	if err != nil {
		return nil
	}
	return reply.Alarms
}

// short takes gRPC's wrapping off an error.
func short(err error) string {
	text := err.Error()
	if _, after, ok := strings.Cut(text, "desc = "); ok {
		text = after
	}
	if errors.Is(err, context.DeadlineExceeded) || strings.Contains(text, "context deadline exceeded") {
		return "no answer within " + patience.String()
	}
	return text
}

// WaitHealthy waits until voters members vote and all of them are healthy and
// have applied what the leader has; none is taken on trust, since a member that
// lags may stop the next change. It gives the members as they were at the end.
func (c *Cluster) WaitHealthy(ctx context.Context, voters int, within time.Duration) ([]Member, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	tick := time.NewTicker(pace)
	defer tick.Stop()
	last := "nobody has answered yet"
	for {
		members, err := c.Members(ctx)
		if err == nil {
			if last = Unwell(members, voters); last == "" {
				return members, nil
			}
		} else if ctx.Err() == nil {
			last = err.Error()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			if kind := diag.KindOf(context.Cause(ctx)); kind != diag.Timeout {
				return members, explain("wait for etcd", context.Cause(ctx))
			}
			return members, diag.New(diag.Timeout, "wait for etcd", "not healthy after %s: %s", within, last).
				WithHint("see `kforge etcd status`, and on the control planes: crictl logs of etcd")
		}
	}
}
