package node

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"path/filepath"

	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/spec"
)

// Files of a node's own load balancer before the API servers.
const (
	LoadBalancerDir      = "/etc/kubernetes/kforge-lb"
	LoadBalancerConfig   = LoadBalancerDir + "/haproxy.cfg"
	LoadBalancerManifest = "/etc/kubernetes/manifests/kforge-lb.yaml"
	// LoadBalancerRun is where HAProxy's master makes its socket. It is not in
	// /run: the pod starts at boot, before anybody could make it there.
	LoadBalancerRun = LoadBalancerDir + "/run"
)

const (
	balancerSocket = LoadBalancerRun + "/master.sock"
	// balancerUser runs HAProxy; its image has this number for it.
	balancerUser = 99
)

// Balanced is a control plane as a load balancer sees it.
type Balanced struct {
	Name    string
	Address string // host:port of its API server
}

// Behind is a control plane behind the load balancers, by its facts or, where it
// cannot be reached, by the inventory.
func Behind(h inventory.ResolvedHost, f *facts.Host, port string) Balanced {
	ip := cmp.Or(h.NodeIP, h.Address)
	if f != nil {
		ip = cmp.Or(FindAddress(h, f).IP, ip)
	}
	return Balanced{Name: h.Name, Address: net.JoinHostPort(ip, port)}
}

// LoadBalancer gives the node's own load balancer: a static pod, so that it
// needs no API to start. All control planes of the inventory are in its
// configuration, whether they run yet or not; it asks each whether it is ready.
func LoadBalancer(nodeName, image string, servers []Balanced) ([]spec.Resource, error) {
	values := map[string]any{"Bind": inventory.LocalEndpoint, "Servers": servers, "Digest": ""}
	config, err := render("haproxy.cfg", values)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(config)
	digest := hex.EncodeToString(sum[:8])
	values["Digest"] = digest
	if config, err = render("haproxy.cfg", values); err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(inventory.LocalEndpoint)
	if err != nil {
		return nil, err
	}
	values = map[string]any{
		"Image": image, "ConfigDir": LoadBalancerDir, "RunDir": LoadBalancerRun, "Socket": filepath.Base(balancerSocket),
		"User": balancerUser, "Host": host, "Port": port, "UID": "",
	}
	manifest, err := render("kforge-lb.yaml", values)
	if err != nil {
		return nil, err
	}
	values["UID"] = uid(nodeName, manifest)
	if manifest, err = render("kforge-lb.yaml", values); err != nil {
		return nil, err
	}
	run := directory(LoadBalancerRun, 0o700, "HAProxy's socket, by which it is told to read its configuration anew")
	run.Directory.UID, run.Directory.GID = balancerUser, balancerUser
	return []spec.Resource{
		directory(LoadBalancerDir, 0o755, "configuration of the node's load balancer"),
		run,
		file(LoadBalancerConfig, 0o644, config, "the control planes that the API is reached at"),
		file(LoadBalancerManifest, 0o644, manifest, "the node reaches any control plane that is ready"),
		{ID: "load balancer", Why: "it goes by its configuration", HAProxy: &spec.HAProxy{Socket: balancerSocket, Digest: digest}},
	}, nil
}

// uid is one in the form of RFC 9562, version 8, that changes with what it names.
func uid(nodeName string, manifest []byte) string {
	sum := sha256.Sum256(append([]byte(nodeName+"\x00"), manifest...))
	b := sum[:16]
	b[6], b[8] = b[6]&0x0f|0x80, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// NoLoadBalancer takes away what LoadBalancer made, for a cluster whose nodes
// reach the API in another way.
func NoLoadBalancer() []spec.Resource {
	const why = "nodes reach the API in another way"
	manifest, config := file(LoadBalancerManifest, 0o644, nil, why), file(LoadBalancerConfig, 0o644, nil, why)
	manifest.File.Absent, config.File.Absent = true, true
	return []spec.Resource{manifest, config}
}
