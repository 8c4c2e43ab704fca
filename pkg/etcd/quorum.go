package etcd

import (
	"fmt"
	"slices"
	"strings"

	"kforge.dev/kforge/pkg/diag"
)

// Standing is how a cluster's voting members stand.
type Standing struct {
	Voters  int `json:"voters"`
	Healthy int `json:"healthy"` // of the voters
}

// Stand counts the voting members.
func Stand(members []Member) Standing {
	var s Standing
	for _, m := range members {
		if m.Learner {
			continue
		}
		s.Voters++
		if m.Healthy {
			s.Healthy++
		}
	}
	return s
}

// Quorum is how many voting members must be up for anything to be written.
func (s Standing) Quorum() int { return s.Voters/2 + 1 }

// Holds tells whether that many are.
func (s Standing) Holds() bool { return s.Voters > 0 && s.Healthy >= s.Quorum() }

// Spare is how many healthy members may still be lost; negative: so many are
// missing.
func (s Standing) Spare() int { return s.Healthy - s.Quorum() }

// String tells the standing to a person.
func (s Standing) String() string {
	return fmt.Sprintf("%d of %d voting members are healthy, %d are needed", s.Healthy, s.Voters, s.Quorum())
}

// Without is the standing once the member is gone.
func Without(members []Member, id uint64) Standing {
	return Stand(without(members, id))
}

func without(members []Member, id uint64) []Member {
	return slices.DeleteFunc(slices.Clone(members), func(m Member) bool { return m.ID == id })
}

// MayRemove says why a member must not be removed, or nil. Two things must
// hold: etcd can decide now, and those that remain can decide after. A learner
// has no vote, and takes none with it. A lost member counts as its loss
// already: removing it is what mends the cluster.
func MayRemove(members []Member, id uint64) error {
	at := slices.IndexFunc(members, func(m Member) bool { return m.ID == id })
	if at < 0 {
		return diag.New(diag.NotFound, "remove etcd member", "no member has the id %s", FormatID(id))
	}
	op := "remove etcd member " + members[at].Title()
	now, then := Stand(members), Without(members, id)
	switch {
	case !now.Holds():
		return diag.New(diag.Cluster, op, "etcd has no quorum: %s", now).
			WithHint("bring members back, or restore a snapshot with `kforge etcd restore`")
	case then.Voters == 0:
		return diag.New(diag.Cluster, op, "it is the last voting member, and holds all of the cluster's data").
			WithHint("to take the whole cluster down, use `kforge reset`")
	case !then.Holds():
		return diag.New(diag.Cluster, op, "quorum would be lost: after it %s", then).
			WithHint("bring the other members back first: see `kforge etcd status`")
	}
	return nil
}

// Find gives the member of a name, or of an id as etcd's tools write it. Two
// members of one name are an error: then only the id tells.
func Find(members []Member, nameOrID string) (Member, error) {
	const op = "find etcd member"
	var found []Member
	for _, m := range members {
		if FormatID(m.ID) == nameOrID {
			return m, nil
		}
		if m.Name == nameOrID {
			found = append(found, m)
		}
	}
	var names []string
	for _, m := range members {
		names = append(names, fmt.Sprintf("%s (%s)", m.Title(), FormatID(m.ID)))
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return Member{}, diag.New(diag.NotFound, op, "no member is called %q", nameOrID).WithHint("the members are %s", strings.Join(names, ", "))
	}
	return Member{}, diag.New(diag.Cluster, op, "%d members are called %q", len(found), nameOrID).
		WithHint("name it by its id: the members are %s", strings.Join(names, ", "))
}

// lag is how many raft entries a member may be behind the leader and still
// count as caught up: a busy cluster is never quite even.
const lag = 1000

// Unwell says what keeps a cluster that should have so many voting members from
// being healthy; "" when nothing does.
func Unwell(members []Member, voters int) string {
	var leader *Member
	for i, m := range members {
		if m.Leader {
			leader = &members[i]
		}
	}
	for _, m := range members {
		switch {
		case !m.Healthy:
			return m.Title() + ": " + m.Problem
		case m.Learner:
			return m.Title() + " is still a learner"
		case leader != nil && leader.Index > m.Applied+lag:
			return fmt.Sprintf("%s is %d entries behind the leader", m.Title(), leader.Index-m.Applied)
		}
	}
	switch {
	case leader == nil:
		return "there is no leader"
	case voters > 0 && len(members) != voters:
		return fmt.Sprintf("%d members vote, %d are expected", len(members), voters)
	}
	return ""
}
