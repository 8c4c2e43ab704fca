package node

import (
	"crypto/sha256"
	"encoding/hex"
	"net"

	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/spec"
)

// Files of a node's own load balancer before the API servers.
const (
	LoadBalancerDir      = "/etc/kubernetes/kforge-lb"
	LoadBalancerConfig   = LoadBalancerDir + "/haproxy.cfg"
	LoadBalancerManifest = "/etc/kubernetes/manifests/kforge-lb.yaml"
)

// Balanced is a control plane as a load balancer sees it.
type Balanced struct {
	Name    string
	Address string // host:port of its API server
}

// LoadBalancer gives the node's own load balancer: a static pod, so that it
// needs no API to start. All control planes of the inventory are in its
// configuration, whether they run yet or not; it asks each whether it is ready.
func LoadBalancer(image string, servers []Balanced) ([]spec.Resource, error) {
	config, err := render("haproxy.cfg", map[string]any{"Bind": inventory.LocalEndpoint, "Servers": servers})
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(inventory.LocalEndpoint)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(config)
	manifest, err := render("kforge-lb.yaml", map[string]any{
		"Image": image, "ConfigDir": LoadBalancerDir, "ConfigDigest": hex.EncodeToString(sum[:8]), "Host": host, "Port": port,
	})
	if err != nil {
		return nil, err
	}
	return []spec.Resource{
		directory(LoadBalancerDir, 0o755, "configuration of the node's load balancer"),
		file(LoadBalancerConfig, 0o644, config, "the control planes that the API is reached at"),
		file(LoadBalancerManifest, 0o644, manifest, "the node reaches any control plane that is ready"),
	}, nil
}

// NoLoadBalancer takes away what LoadBalancer made, for a cluster whose nodes
// reach the API in another way.
func NoLoadBalancer() []spec.Resource {
	const why = "nodes reach the API in another way"
	manifest, config := file(LoadBalancerManifest, 0o644, nil, why), file(LoadBalancerConfig, 0o644, nil, why)
	manifest.File.Absent, config.File.Absent = true, true
	return []spec.Resource{manifest, config}
}
