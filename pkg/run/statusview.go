package run

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"kforge.dev/kforge/pkg/certs"
	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/event"
	"kforge.dev/kforge/pkg/kube/live"
)

// Verdict on a cluster, and on what is found in one; the worst counts.
type Verdict string

const (
	Well        Verdict = "well"
	Remark      Verdict = "remark"      // to be known: it changes no verdict
	Drifted     Verdict = "drifted"     // other than the inventory says
	Unreachable Verdict = "unreachable" // a host could not be looked at
	Unwell      Verdict = "unwell"
)

var verdicts = []Verdict{Well, Remark, Drifted, Unreachable, Unwell}

// Finding is something that a person should know.
type Finding struct {
	Verdict Verdict `json:"verdict"`
	Host    string  `json:"host,omitempty"`
	Text    string  `json:"text"`
	Hint    string  `json:"hint,omitempty"`
}

// StatusView is one look at a cluster.
type StatusView struct {
	Cluster   string    `json:"cluster"`
	Inventory string    `json:"inventory"`
	Time      time.Time `json:"time"`
	Verdict   Verdict   `json:"verdict"`
	Findings  []Finding `json:"findings"`

	Version      string            `json:"version,omitempty"` // of the API server that answered
	Wanted       string            `json:"wanted"`            // by the inventory
	API          APIView           `json:"api"`
	Nodes        []NodeView        `json:"nodes"`
	Components   []ComponentView   `json:"components"`
	Etcd         *EtcdView         `json:"etcd,omitempty"`
	EtcdError    *diag.Error       `json:"etcdError,omitempty"`
	Certificates []CertificateView `json:"certificates"`
	AddOns       []AddOnView       `json:"addOns"`
	Drift        *DriftView        `json:"drift,omitempty"` // nil without a cluster
	LastRun      *Record           `json:"lastRun,omitempty"`

	pods []live.StaticPod
}

// APIView is the way to the API.
type APIView struct {
	Endpoint string      `json:"endpoint"` // as nodes have it
	Mode     string      `json:"mode"`
	Admin    string      `json:"admin"` // as people have it
	Answers  bool        `json:"answers"`
	Unready  string      `json:"unready,omitempty"` // why, where it answers
	Error    *diag.Error `json:"error,omitempty"`
}

// HostView is what a host itself tells of its node.
type HostView struct {
	Reached    bool        `json:"reached"`
	Error      *diag.Error `json:"error,omitempty"`
	Kubelet    bool        `json:"kubeletActive"`
	Containerd bool        `json:"containerdActive"`

	joined bool
}

// ComponentView is one component of the control plane on one node.
type ComponentView struct {
	Name    string `json:"name"`
	Node    string `json:"node"`
	Version string `json:"version,omitempty"`
	Ready   bool   `json:"ready"`
	State   string `json:"state"`
}

// AddOnView is what the cluster runs beside its control plane.
type AddOnView struct {
	live.Object
	Version string `json:"version,omitempty"`
}

// CertificateView is one certificate on one host.
type CertificateView struct {
	Host  string      `json:"host"`
	Name  string      `json:"name"`
	Path  string      `json:"path"`
	CA    bool        `json:"ca,omitempty"`
	End   time.Time   `json:"end,omitzero"`
	Error *diag.Error `json:"error,omitempty"`
}

// DriftView is how many changes apply would make; the cluster's own objects are
// under "".
type DriftView struct {
	Changes int            `json:"changes"`
	Hosts   map[string]int `json:"hosts"`
	Error   *diag.Error    `json:"error,omitempty"` // it could not be found out
}

// Days before the end of a certificate at which it is told of, and at which the
// cluster is called unwell.
const (
	endsSoon = 30
	endsNow  = 7
)

// meet adds what the host itself told.
func (v *NodeView) meet(f *fleet) {
	if v.State == NodeUnknown {
		return
	}
	v.Host = &HostView{}
	if err := f.unreachable[v.Name]; err != nil {
		v.Host.Error = diag.From(err)
		return
	}
	facts := f.facts[v.Name]
	if facts == nil {
		return
	}
	v.Host.Reached, v.Host.Kubelet, v.Host.Containerd = true, facts.Kubernetes.KubeletActive, facts.Containerd.Active
	v.Host.joined = facts.Kubernetes.KubeletConf
	if v.State == NodeMissing { // the API tells more where it answers
		v.Version = facts.Kubernetes.KubeletVersion
	}
}

// judge finds what is wrong, and calls the whole by the worst of it.
func (v *StatusView) judge() {
	v.Findings = []Finding{}
	v.judgeAPI()
	v.judgeNodes()
	v.judgeParts()
	v.judgeCertificates()
	v.judgeDrift()
	slices.SortStableFunc(v.Findings, func(a, b Finding) int {
		return cmp.Compare(slices.Index(verdicts, b.Verdict), slices.Index(verdicts, a.Verdict))
	})
	v.Verdict = Well
	if len(v.Findings) > 0 && v.Findings[0].Verdict != Remark {
		v.Verdict = v.Findings[0].Verdict
	}
}

func (v *StatusView) find(verdict Verdict, host, hint, format string, args ...any) {
	v.Findings = append(v.Findings, Finding{verdict, host, fmt.Sprintf(format, args...), hint})
}

func (v *StatusView) judgeAPI() {
	switch {
	case v.API.Error != nil && v.API.Answers:
		v.find(Unwell, "", diag.Hint(v.API.Error), "the API does not tell all: %v", v.API.Error)
	case v.API.Error != nil:
		v.find(Unwell, "", diag.Hint(v.API.Error), "the API does not answer: %v", v.API.Error)
	}
	if v.API.Unready != "" {
		v.find(Unwell, "", "look on the control planes: crictl ps -a; kforge etcd status "+v.Inventory, "the API answers, and is not well: %s", v.API.Unready)
	}
	if v.Version != "" && v.Version != v.Wanted {
		v.find(Drifted, "", "kforge upgrade --plan "+v.Inventory, "the API server is %s, and the inventory says %s", v.Version, v.Wanted)
	}
}

func (v *StatusView) judgeNodes() {
	for _, n := range v.Nodes {
		if n.Host != nil && n.Host.Error != nil {
			v.find(Unreachable, n.Name, diag.Hint(n.Host.Error), "%v", n.Host.Error)
		}
		switch {
		case !v.API.Answers:
		case n.State == NodeMissing:
			v.find(Drifted, n.Name, "kforge apply "+v.Inventory, "it is in the inventory, and no node of the cluster")
		case n.Why != "":
			v.find(Unwell, n.Name, "kubectl describe node "+n.Name, "%s", n.Why)
		case !n.Ready:
			v.find(Unwell, n.Name, "kubectl describe node "+n.Name, "the node is not ready")
		}
		if n.State == NodeUnknown {
			v.find(Drifted, n.Name, "write it into the inventory, or take it out of the cluster", "it is a node of the cluster, and not in the inventory")
		}
		if n.Unschedulable {
			v.find(Remark, n.Name, "kubectl uncordon "+n.Name, "it is cordoned: no new pods come to it")
		}
		if n.State == NodeJoined && n.Version != "" && n.Version != v.Wanted {
			v.find(Drifted, n.Name, "kforge upgrade --plan "+v.Inventory, "its kubelet is %s, and the inventory says %s", n.Version, v.Wanted)
		}
		if h := n.Host; h != nil && h.Reached && h.joined {
			if !h.Containerd {
				v.find(Unwell, n.Name, "look there: journalctl -u containerd", "containerd does not run")
			}
			if !h.Kubelet {
				v.find(Unwell, n.Name, "look there: journalctl -u kubelet", "the kubelet does not run")
			}
		}
	}
}

func (v *StatusView) judgeParts() {
	for _, c := range v.Components {
		if v.API.Answers && !c.Ready {
			v.find(Unwell, c.Node, "look there: crictl ps -a; journalctl -u kubelet", "%s: %s", c.Name, c.State)
		}
	}
	if v.EtcdError != nil {
		v.find(Unwell, "", diag.Hint(v.EtcdError), "etcd cannot be looked at: %v", v.EtcdError)
	}
	if v.Etcd != nil {
		for _, p := range v.Etcd.Problems {
			v.find(Unwell, "", "kforge etcd status "+v.Inventory, "etcd: %s", p)
		}
	}
	for _, a := range v.AddOns {
		if !a.Ready {
			v.find(Unwell, "", fmt.Sprintf("kubectl -n %s describe %s %s", a.Namespace, strings.ToLower(a.Kind), a.Name), "%s %s: %s", a.Kind, a.Name, a.State)
		}
	}
}

func (v *StatusView) judgeCertificates() {
	for _, c := range v.Certificates {
		what := "certificate " + c.Name
		if c.Error != nil {
			if c.Error.Kind != diag.NotFound { // a part that this cluster does without
				v.find(Remark, c.Host, diag.Hint(c.Error), "%s cannot be read: %v", what, c.Error)
			}
			continue
		}
		hint := certs.Renewal(certs.File{Name: c.Name, CA: c.CA})
		switch days := c.Days(v.Time); {
		case c.End.Before(v.Time):
			v.find(Unwell, c.Host, hint, "%s ended on %s", what, c.End.Format(time.DateOnly))
		case days < endsNow:
			v.find(Unwell, c.Host, hint, "%s ends in %d days, on %s", what, days, c.End.Format(time.DateOnly))
		case days < endsSoon:
			v.find(Remark, c.Host, hint, "%s ends in %d days, on %s", what, days, c.End.Format(time.DateOnly))
		}
	}
}

// Days that are left of it.
func (c CertificateView) Days(now time.Time) int { return int(c.End.Sub(now).Hours() / 24) }

func (v *StatusView) judgeDrift() {
	if d := v.Drift; d != nil && d.Error != nil {
		v.find(Remark, "", diag.Hint(d.Error), "what apply would change is not known: %v", d.Error)
	} else if d != nil && d.Changes > 0 {
		v.find(Drifted, "", "kforge plan "+v.Inventory, "apply would change %s", d)
	}
	if r := v.LastRun; r != nil && r.Result != event.OK && r.Result != event.Changed && r.Result != Running {
		v.find(Remark, "", "kforge history "+r.Run, "the last run, %s of %s, is %s", r.Command, r.Time.UTC().Format(time.DateTime), r.Result)
	}
}

// String gives "3 things: n1 2, cluster 1".
func (d *DriftView) String() string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(d.Hosts)) {
		parts = append(parts, fmt.Sprintf("%s %d", cmp.Or(name, "cluster"), d.Hosts[name]))
	}
	if len(parts) == 0 {
		return "nothing"
	}
	if len(parts) > named {
		parts = append(parts[:named], fmt.Sprintf("%d more hosts", len(parts)-named))
	}
	what := "things"
	if d.Changes == 1 {
		what = "thing"
	}
	return fmt.Sprintf("%d %s: %s", d.Changes, what, strings.Join(parts, ", "))
}
