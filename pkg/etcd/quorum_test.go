package etcd

import (
	"strings"
	"testing"

	"kforge.dev/kforge/pkg/diag"
)

// voters makes members from a word: u is up, d is down, l is a learner that is
// up, L the leader. Ids count from 1.
func voters(word string) []Member {
	var out []Member
	for i, r := range word {
		m := Member{ID: uint64(i + 1), Name: "n" + string(rune('1'+i)), ClientURLs: []string{"https://h:2379"}, Applied: 100, Index: 100}
		m.Healthy, m.Learner, m.Leader = r != 'd', r == 'l', r == 'L'
		if r == 'd' {
			m.Problem = "connection refused"
		}
		out = append(out, m)
	}
	return out
}

func TestMayRemove(t *testing.T) {
	t.Parallel()
	tests := []struct {
		members string
		id      uint64
		says    string // "" allows it
	}{
		{"L", 1, "last voting member"},
		{"Ld", 2, "no quorum"}, // 1 of 2: etcd cannot even decide
		{"Lu", 2, ""},
		{"Luu", 1, ""},
		{"Luu", 3, ""},
		{"Lud", 3, ""},                       // the lost one
		{"Lud", 2, "quorum would be lost"},   // 1 of 2 would be left
		{"Lud", 1, "quorum would be lost"},   // the leader is no exception
		{"Ldd", 2, "no quorum"},              // a snapshot is the way out
		{"Luuud", 5, ""},                     // 4 of 4
		{"Luuud", 1, ""},                     // 3 of 4
		{"Luudd", 1, "quorum would be lost"}, // 2 of 4
		{"Luudd", 4, ""},                     // 3 of 4
		{"Luul", 4, ""},
		{"Lul", 2, ""},                  // 1 of 1 and a learner
		{"Ll", 1, "last voting member"}, // a learner cannot take over
		{"Ldl", 3, "no quorum"},         // also a learner's removal is voted on
		{"Luu", 9, "no member has the id"},
	}
	for _, tt := range tests {
		err := MayRemove(voters(tt.members), tt.id)
		switch {
		case tt.says == "" && err != nil:
			t.Errorf("%s without %d: %v", tt.members, tt.id, err)
		case tt.says != "" && (err == nil || !strings.Contains(err.Error(), tt.says)):
			t.Errorf("%s without %d: %v, want %q", tt.members, tt.id, err, tt.says)
		case err != nil && diag.KindOf(err) == diag.Cluster && diag.Hint(err) == "":
			t.Errorf("%s without %d: no hint", tt.members, tt.id)
		}
	}
}

func TestStanding(t *testing.T) {
	t.Parallel()
	tests := []struct {
		members               string
		voters, quorum, spare int
		holds                 bool
	}{
		{"", 0, 1, -1, false},
		{"L", 1, 1, 0, true},
		{"Lu", 2, 2, 0, true},
		{"Luu", 3, 2, 1, true},
		{"Lud", 3, 2, 0, true},
		{"udd", 3, 2, -1, false},
		{"Luuuu", 5, 3, 2, true},
		{"Luul", 3, 2, 1, true},
	}
	for _, tt := range tests {
		s := Stand(voters(tt.members))
		if s.Voters != tt.voters || s.Quorum() != tt.quorum || s.Spare() != tt.spare || s.Holds() != tt.holds {
			t.Errorf("%q: %+v, quorum %d, spare %d, holds %v", tt.members, s, s.Quorum(), s.Spare(), s.Holds())
		}
	}
}

func TestUnwell(t *testing.T) {
	t.Parallel()
	lagging := voters("Luu")
	lagging[0].Index, lagging[0].Applied = 50_000, 50_000
	lagging[1].Applied = 50_000
	tests := []struct {
		members []Member
		voters  int
		says    string
	}{
		{voters("Luu"), 3, ""},
		{voters("Luu"), 0, ""},
		{voters("Luu"), 2, "3 members vote, 2 are expected"},
		{voters("Lu"), 3, "2 members vote, 3 are expected"},
		{voters("Lud"), 3, "n3: connection refused"},
		{voters("Lul"), 2, "n3 is still a learner"},
		{voters("uuu"), 3, "there is no leader"},
		{lagging, 3, "n3 is 49900 entries behind the leader"},
	}
	for _, tt := range tests {
		if got := Unwell(tt.members, tt.voters); got != tt.says {
			t.Errorf("Unwell(%v, %d) = %q, want %q", tt.members, tt.voters, got, tt.says)
		}
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	members := voters("Luu")
	members[2] = Member{ID: 0xabc, PeerURLs: []string{"https://10.0.0.3:2380"}}
	for _, name := range []string{"n2", "2"} {
		if m, err := Find(members, name); err != nil || m.ID != 2 {
			t.Errorf("Find(%q) = %+v, %v", name, m, err)
		}
	}
	if m, err := Find(members, "abc"); err != nil || m.ID != 0xabc {
		t.Errorf("Find(abc) = %+v, %v", m, err)
	}
	_, err := Find(members, "n9")
	if diag.KindOf(err) != diag.NotFound || !strings.Contains(diag.Hint(err), "n1 (1), n2 (2), 10.0.0.3:2380 (abc)") {
		t.Errorf("Find(n9): %v, hint %q", err, diag.Hint(err))
	}
	members[1].Name = "n1" // a host that came back while its old member is still there
	if _, err = Find(members, "n1"); diag.KindOf(err) != diag.Cluster || !strings.Contains(err.Error(), "2 members are called") {
		t.Errorf("Find(n1): %v", err)
	}
}

func TestOrder(t *testing.T) {
	t.Parallel()
	names := ""
	for _, m := range leaderLast(voters("uLul")) {
		names += m.Name
	}
	if names != "n1n3n4n2" {
		t.Errorf("the order of defragmentation is %s", names)
	}
	full := voters("Lud")
	full[2].Alarms = []string{"NOSPACE"}
	if !onlyFull(full) || onlyFull(voters("Lud")) || onlyFull(voters("Luu")) {
		t.Error("a lack of space is not told from other trouble")
	}
}

func TestSource(t *testing.T) {
	t.Parallel()
	ahead := voters("Luu")
	ahead[0].Applied = 90_000 // the followers lag
	corrupt := voters("Ld")
	corrupt[1].Alarms = []string{"CORRUPT"}
	full := voters("dd")
	full[1].Alarms = []string{"NOSPACE"}
	tests := []struct {
		members []Member
		want    string
	}{
		{voters("L"), "n1"},
		{voters("Luu"), "n2"},
		{voters("Ldu"), "n3"},
		{voters("Lld"), "n1"}, // not of a learner
		{ahead, "n1"},
		{corrupt, "n1"},
		{full, "n2"},
		{voters("dd"), ""},
	}
	for i, tt := range tests {
		m, err := source(tt.members)
		if m.Name != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%d: source is %q, %v, want %q", i, m.Name, err, tt.want)
		}
	}
}
