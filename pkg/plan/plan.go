// Package plan turns (inventory, facts, live cluster) into the steps of a run.
// It is a pure function: it reads no file, asks no host and knows no clock; the
// same input gives the same steps in the same order.
package plan

import (
	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/graph"
	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/spec"
)

// CertsProgram is the artifact that renews certificates; it is inside kforge.
const CertsProgram = "kforge-certs"

// Artifacts says what there is to put on hosts. Nothing is fetched by it.
type Artifacts interface {
	// File gives a binary or archive by name ("containerd", "runc",
	// "cni-plugins", "kubelet", "kubeadm", "kubectl", CertsProgram) for an architecture
	// (amd64, arm64), and its version for people ("v2.4.2"). An artifact that
	// does not exist for arch is an error that says what to do.
	File(name, arch string) (spec.Blob, string, error)
	// Images gives the images that a role needs (control-plane, worker; and
	// load-balancer for what nodes with one need besides), named
	// in full: "registry.k8s.io/pause:3.10.2". Every role has pause, kube-proxy,
	// coredns, flannel and flannel-cni-plugin; control-plane has kube-apiserver,
	// kube-controller-manager, kube-scheduler and etcd too. Blobs may be
	// empty where only names are asked for.
	Images(role, arch string) ([]spec.Image, error)
}

// Input is everything that a plan follows from.
type Input struct {
	Cluster *inventory.Cluster
	// Facts by host name; a host without facts must be in Unreachable.
	Facts map[string]*facts.Host
	// Live is the cluster as its API tells, nil while there is no API.
	Live      *Live
	Artifacts Artifacts
	// FallbackDNS are servers for pods on hosts whose resolver is a loopback
	// stub with unknown upstreams, when the inventory names no dns.servers.
	FallbackDNS []string
	// Unreachable says why there are no facts of a host. Such a host gets no
	// steps, and nothing is removed because of it.
	Unreachable map[string]error
	// Skipped are hosts that were not asked for: they get no steps, and nothing
	// is removed because of them. Facts are wanted of a skipped control plane
	// only, since others join it; without them nobody joins.
	Skipped map[string]bool
	// Restore brings a cluster back on control planes that hold nothing of it.
	Restore *Restored
}

// Live is what the planner wants to know of a running cluster.
type Live struct {
	Nodes    []LiveNode
	Networks LiveNetworks
}

// LiveNetworks are those that the cluster was made with, "" where it does not tell.
type LiveNetworks struct {
	PodCIDR, ServiceCIDR, DNSDomain string
}

// LiveNode is a Node object.
type LiveNode struct {
	Name    string
	Ready   bool
	Kubelet string // its version: "v1.37.2"
	// Unschedulable: it is cordoned.
	Unschedulable bool
	Labels        map[string]string
}

// A Step's Work is a *spec.HostWork or a *spec.KubeWork, and that alone decides
// who executes it: waiting for a host's Node is KubeWork with Step.Host set, so
// that it counts for the host.

// Plan is the outcome: the steps, and what a person should know besides.
type Plan struct {
	// Steps in a stable order in which every need comes before its user.
	Steps []graph.Step
	Notes []Note
}

// Note tells of something that was decided or left out, and why.
type Note struct {
	Host    string // "" is the cluster
	Message string
	Hint    string // may be empty
	// Err is the cause when something was left out because of an error.
	Err error
}

// Phases of steps, for the summary of time.
const (
	PhasePrepare      = "prepare"
	PhaseImages       = "images"
	PhaseControlPlane = "control-plane"
	PhaseJoin         = "join"
	PhaseAddons       = "addons"
	PhaseEtcd         = "etcd"
	PhaseWorkers      = "workers"
)

// Classes of steps, for limits of the engine.
const (
	ClassHost  = "host"
	ClassImage = "image"
	ClassInit  = "init"
	ClassJoin  = "join"
	ClassKube  = "kube"
	// ClassWait only watches the API: a limit would make hosts wait for the
	// slowest.
	ClassWait = "wait"
)
