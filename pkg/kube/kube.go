// Package kube brings the objects of a cluster from what is to what should be:
// it observes by server-side dry runs, applies server-side, and waits by watch.
// It is the only package that reaches client-go, and the only one that talks to
// a Kubernetes API.
package kube

import (
	"context"
	"net"

	"k8s.io/client-go/rest"

	"kforge.dev/kforge/pkg/kube/live"
	"kforge.dev/kforge/pkg/spec"
)

// Dialer opens connections to the API server, through an SSH tunnel.
type Dialer func(ctx context.Context, network, addr string) (net.Conn, error)

// Event is progress of Apply: a message, a change just made, or both.
type Event struct {
	Message string
	Change  *spec.Change
}

// Cluster is the API of one cluster. It is safe for concurrent use.
type Cluster struct {
	config *rest.Config
}

// Live is what the planner needs to know of a running cluster.
type Live = live.State
