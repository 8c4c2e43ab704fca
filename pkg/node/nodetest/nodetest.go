// Package nodetest holds hosts, a cluster and artifacts for tests of the
// packages that only compute, and compares what they write with golden files.
package nodetest

import (
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/spec"
)

var update = flag.Bool("update", false, "write golden files")

// Golden compares got with testdata/name, or writes it with -update.
func Golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (write it with -update)", err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// Machine is a common bare machine: Debian 12, cgroup v2, systemd-resolved.
func Machine(ip string) *facts.Host {
	return &facts.Host{
		MachineID: "id-" + ip,
		OS:        facts.OS{ID: "debian", Version: "12", Name: "Debian GNU/Linux 12 (bookworm)", Systemd: 252},
		Kernel: facts.Kernel{
			Release: "6.1.0-18-amd64", Arch: "amd64", Cgroup: 2,
			OOMScoreAdjLowerable: true, ConntrackWritable: true, KmsgReadable: true,
		},
		CPU:    facts.CPU{Logical: 16, Sockets: 1},
		Memory: facts.Memory{Total: 64 << 30, Available: 60 << 30},
		Interfaces: []facts.Interface{
			{Name: "lo", MTU: 65536, Up: true, Addresses: []string{"127.0.0.1/8"}},
			{Name: "eth0", MTU: 1500, Up: true, Addresses: []string{ip + "/24"}},
		},
		DefaultInterface: "eth0",
		Resolver: facts.Resolver{
			Path: "/run/systemd/resolve/stub-resolv.conf", Servers: []string{"127.0.0.53"},
			Search: []string{"example.com"}, Upstreams: []string{"10.0.0.2"},
			UpstreamPath: "/run/systemd/resolve/resolv.conf",
		},
		Time:  facts.Time{Synced: true, Daemon: "chrony", DaemonActive: true, RoundTripSeconds: 0.002},
		Paths: []facts.PathSpace{{Path: "/", Mount: "/", Type: "ext4", Total: 100 << 30, Available: 80 << 30}},
	}
}

// Container is a host with every surprise of the lab: cgroup v1, no
// CAP_SYS_RESOURCE, a loopback resolver that tells nothing, connection tracking
// of somebody else, a large disk with a seventh of it to spare.
func Container(ip string) *facts.Host {
	f := Machine(ip)
	f.OS.Container = "docker"
	f.Kernel.Release = "6.18.5"
	f.Kernel.Cgroup = 1
	f.Kernel.OOMScoreAdjLowerable = false
	f.Kernel.ConntrackWritable = false
	f.CPU.Logical = 2
	f.Memory = facts.Memory{Total: 24 << 30, Available: 20 << 30}
	f.Resolver = facts.Resolver{Path: "/etc/resolv.conf", Servers: []string{"127.0.0.11"}}
	f.Paths = []facts.PathSpace{
		{Path: "/", Mount: "/", Type: "overlay", Total: 252 << 30, Available: 33 << 30},
		{Path: "/var/lib/kubelet", Mount: "/var", Type: "ext4", Total: 252 << 30, Available: 33 << 30},
		{Path: "/var/lib/containerd", Mount: "/var", Type: "ext4", Total: 252 << 30, Available: 33 << 30},
	}
	return f
}

// Cluster is a control plane n1 and workers n2, n3 at 10.0.0.11 and on.
func Cluster(version string) *inventory.Cluster {
	host := func(name, address, role string) inventory.ResolvedHost {
		return inventory.ResolvedHost{
			Name: name, Address: address, Roles: []string{role},
			SwapOff: true, TimeoutScale: 1, MaxPods: 110, CgroupV1: true,
		}
	}
	return &inventory.Cluster{
		Name: "lab", Version: version, Endpoint: "10.0.0.11:6443",
		PodCIDR: "10.244.0.0/16", ServiceCIDR: "10.96.0.0/16", DNSDomain: "cluster.local",
		CNI:       inventory.CNI{Plugin: "flannel", Backend: "vxlan"},
		Snapshots: inventory.Snapshots{Schedule: "*-*-* 00/6:00", Keep: 12, Directory: "/var/backups/etcd"},
		Ready:     5 * time.Minute,
		Hosts: []inventory.ResolvedHost{
			host("n1", "10.0.0.11", inventory.RoleControlPlane),
			host("n2", "10.0.0.12", inventory.RoleWorker),
			host("n3", "10.0.0.13", inventory.RoleWorker),
		},
	}
}

// HighlyAvailable is a cluster of control planes n1, n2 and n3 and a worker n4.
func HighlyAvailable(version string) *inventory.Cluster {
	c := Cluster(version)
	c.EndpointMode, c.Endpoint = inventory.EndpointLocal, inventory.LocalEndpoint
	for i := range c.Hosts {
		c.Hosts[i].Roles = []string{inventory.RoleControlPlane}
	}
	worker := c.Hosts[2]
	worker.Name, worker.Address, worker.Roles = "n4", "10.0.0.14", []string{inventory.RoleWorker}
	c.Hosts = append(c.Hosts, worker)
	return c
}

// Artifacts has everything for amd64 and nothing else.
type Artifacts struct{ Version string }

func blob(name string) spec.Blob {
	sum := sha256.Sum256([]byte(name))
	return spec.Blob{Digest: "sha256:" + hex.EncodeToString(sum[:]), Size: int64(1000 * len(name)), Name: name}
}

// File gives a made-up blob.
func (a Artifacts) File(name, arch string) (spec.Blob, string, error) {
	if arch != "amd64" {
		return spec.Blob{}, "", diag.New(diag.NotFound, "find "+name, "there is none for %s", arch).
			WithHint("make a bundle for %s", arch)
	}
	version := a.Version
	switch name {
	case "containerd":
		version = "v2.4.2"
	case "runc":
		version = "v1.5.2"
	case "cni-plugins":
		version = "v1.9.1"
	}
	return blob(name + " " + version), version, nil
}

// Images gives the names of the lab's images with made-up blobs.
func (a Artifacts) Images(role, _ string) ([]spec.Image, error) {
	if name := map[string]string{"load-balancer": "docker.io/library/haproxy:3.0.11", "virtual-ip": "ghcr.io/kube-vip/kube-vip:v1.0.3"}[role]; name != "" {
		return []spec.Image{{Name: name, Digest: blob("manifest " + name).Digest, Blob: blob(name)}}, nil
	}
	names := []string{
		"registry.k8s.io/pause:3.10.2", "registry.k8s.io/kube-proxy:" + a.Version,
		"registry.k8s.io/coredns/coredns:v1.14.6", "ghcr.io/flannel-io/flannel:v0.26.7",
		"ghcr.io/flannel-io/flannel-cni-plugin:v1.6.2-flannel1",
	}
	if role == inventory.RoleControlPlane {
		names = append(names, "registry.k8s.io/kube-apiserver:"+a.Version,
			"registry.k8s.io/kube-controller-manager:"+a.Version,
			"registry.k8s.io/kube-scheduler:"+a.Version, "registry.k8s.io/etcd:3.7.0-0")
	}
	var out []spec.Image
	for _, name := range names {
		out = append(out, spec.Image{Name: name, Digest: blob("manifest " + name).Digest, Blob: blob(name)})
	}
	return out, nil
}

// Text prints resources for a golden file: what a person would check.
func Text(resources []spec.Resource) string {
	var b strings.Builder
	for _, r := range resources {
		b.WriteString("=== " + r.ID)
		if r.Why != "" {
			b.WriteString(" (" + r.Why + ")")
		}
		b.WriteString("\n")
		if r.File != nil && r.File.Content != nil {
			b.Write(r.File.Content)
		}
	}
	return b.String()
}
