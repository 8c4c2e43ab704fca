// Package graph is the scheduler of a run as a pure state machine: which steps
// may start now, and what follows when one ends. It has no goroutine, no clock
// and no idea of what a step does.
package graph

// Step is a node of the graph.
type Step struct {
	ID    string // unique: "n1/containerd", "cluster/flannel"
	Host  string // "" is the cluster
	Phase string // for the summary of time: prepare, images, control-plane, join, addons
	Title string // for a person: "install containerd v2.4.2"
	// Class of work for limits: "host", "image", "init", "join", "kube".
	Class string
	// Needs are ids of steps that must have ended well before.
	Needs []string
	// NeedsAny, when not empty: at least one of these must have ended well.
	NeedsAny []string
	// Work is what an executor does; graph never looks at it.
	Work any
}
