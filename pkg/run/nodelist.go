package run

import (
	"context"
	"os"
	"time"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/event"
	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/kube"
	"kforge.dev/kforge/pkg/kube/live"
	"kforge.dev/kforge/pkg/wire"
)

// Where a node is known.
const (
	NodeJoined  = "joined"     // to the inventory and the cluster
	NodeMissing = "not joined" // to the inventory only
	NodeUnknown = "unknown"    // to the cluster only
)

// NodeView is a host of the inventory, a node of the cluster, or both in one.
type NodeView struct {
	Name          string   `json:"name"`
	State         string   `json:"state"` // NodeJoined, NodeMissing or NodeUnknown
	Roles         []string `json:"roles"`
	Class         string   `json:"class,omitempty"`
	Address       string   `json:"address,omitempty"` // for SSH, from the inventory
	NodeIP        string   `json:"nodeIP,omitempty"`
	Ready         bool     `json:"ready"`
	Why           string   `json:"why,omitempty"` // it is not ready
	Unschedulable bool     `json:"unschedulable,omitempty"`
	Version       string   `json:"version,omitempty"` // of the kubelet
	Runtime       string   `json:"runtime,omitempty"`
	// Host is what the host itself tells; nil when it was not asked.
	Host *HostView `json:"host,omitempty"`
}

// NodesView is the inventory against the cluster.
type NodesView struct {
	Cluster string     `json:"cluster"`
	Version string     `json:"version"` // of the API server
	Nodes   []NodeView `json:"nodes"`   // in the inventory's order, then the unknown ones
}

// NodeList asks the cluster for its nodes, through a control plane, and holds
// them against the inventory. It changes nothing and records nothing.
func NodeList(ctx context.Context, e *Env, file string) (*NodesView, error) {
	c, _, err := inventory.Load(file)
	if err != nil {
		return nil, err
	}
	sink := warningsTo(e)
	s := &session{env: e, cluster: c, command: "node list", started: time.Now(), sink: sink, left: map[string]error{}}
	if err := s.look(c.ControlPlanes()); err != nil {
		return nil, err
	}
	defer s.fleet.close()
	var state *kube.Live
	err = s.beforeSteps(ctx, func(ctx context.Context) error {
		if err := s.fleet.connect(ctx); err != nil {
			return err
		}
		api, err := s.api(ctx)
		if err != nil {
			return err
		}
		defer api.Close()
		state, err = api.Live(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &NodesView{Cluster: c.Name, Version: state.Version, Nodes: compareNodes(c, state)}, nil
}

// look prepares to reach hosts in read-only mode, without a record.
func (s *session) look(contact []inventory.ResolvedHost) error {
	userName, machine := holder(s.command)
	lock := wire.Lock{User: userName, Machine: machine, PID: os.Getpid(), Command: "kforge " + s.command, Since: s.started.UTC().Format(time.RFC3339)}
	var err error
	if s.fleet, err = newFleet(s.env, s.cluster, wire.ReadOnly, lock, s.sink); err != nil {
		return err
	}
	s.fleet.contact = contact
	return nil
}

// api gives a client of the cluster, or why there is none.
func (s *session) api(ctx context.Context) (*kube.Cluster, error) {
	var errs []error
	reached := false
	for _, h := range s.cluster.ControlPlanes() {
		if err := s.fleet.unreachable[h.Name]; err != nil {
			errs = append(errs, err)
		} else {
			reached = true
		}
	}
	if !reached {
		return nil, &diag.Error{Kind: diag.Unreachable, Msg: "the cluster's API is asked through a control plane, and none can be reached", Err: errs[0]}
	}
	if !s.hasCluster() {
		return nil, diag.New(diag.NotFound, "", "there is no cluster yet: no control plane has finished kubeadm init").WithHint("make one: kforge apply %s", s.cluster.File)
	}
	for _, err := range errs {
		s.sink(event.Event{Event: event.Warning, Text: err.Error(), Hint: diag.Hint(err)})
	}
	conf, err := s.fleet.adminConf(ctx)
	if err != nil {
		return nil, err
	}
	return kube.Connect(conf, s.fleet.tunnel)
}

// compareNodes holds the inventory against the cluster.
func compareNodes(c *inventory.Cluster, state *kube.Live) []NodeView {
	out := []NodeView{}
	for _, h := range c.Hosts {
		v := NodeView{Name: h.Name, State: NodeMissing, Roles: h.Roles, Class: h.Class, Address: h.Address}
		if n, ok := state.Node(h.Name); ok {
			v.State = NodeJoined
			v.fill(n)
		}
		out = append(out, v)
	}
	for _, n := range state.Nodes {
		if _, ok := c.Host(n.Name); !ok {
			v := NodeView{Name: n.Name, State: NodeUnknown, Roles: n.Roles()}
			v.fill(n)
			out = append(out, v)
		}
	}
	return out
}

// fill takes what the cluster tells of a node.
func (v *NodeView) fill(n live.Node) {
	v.NodeIP, v.Ready, v.Why, v.Unschedulable = n.Address, n.Ready, n.Why, n.Unschedulable
	v.Version, v.Runtime = n.Kubelet, n.Runtime
}
