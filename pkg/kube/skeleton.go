package kube

import (
	"context"
	"errors"

	"kforge.dev/kforge/pkg/spec"
)

var errUnwritten = errors.New("not written yet")

// Connect makes a client from an admin kubeconfig; dial nil means directly. It
// sends no request.
func Connect(kubeconfig []byte, dial Dialer) (*Cluster, error) { return nil, errUnwritten }

// Close drops idle connections.
func (c *Cluster) Close() {}

// Live asks for version and nodes.
func (c *Cluster) Live(ctx context.Context) (*Live, error) { return nil, errUnwritten }

// Plan tells what Apply would change. It changes nothing.
func (c *Cluster) Plan(ctx context.Context, w spec.KubeWork) ([]spec.Change, error) {
	return nil, errUnwritten
}

// Apply does the work in the order that spec.KubeWork tells. sink may be nil and
// is never called concurrently. Changes made before an error are returned with it.
func (c *Cluster) Apply(ctx context.Context, w spec.KubeWork, sink func(Event)) ([]spec.Change, map[string]string, error) {
	return nil, nil, errUnwritten
}

// AdminKubeconfig rewrites kubeadm's admin.conf for people: cluster, context and
// user are named as the cluster, and the server is https://endpoint.
func AdminKubeconfig(adminConf []byte, server, clusterName string) ([]byte, error) {
	return nil, errUnwritten
}
