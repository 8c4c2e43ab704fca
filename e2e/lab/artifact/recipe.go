package artifact

import (
	"embed"
	"strings"
)

//go:embed programs/pause/main.go programs/probe/main.go programs/coredns/main.go.txt
var programs embed.FS

// program is one executable of a group: the package that holds its main function and the name it gets.
type program struct {
	Package string
	Name    string
}

// group is what is built in one generated module, because the dependency versions of different projects conflict. All of it
// goes into the artifact's digest.
type group struct {
	Name    string
	Version string
	// Modules are required at the given versions, path@version.
	Modules []string
	// Staging names the module whose go.mod points its parts at ./staging: they are replaced by their published versions.
	Staging  string `json:",omitempty"`
	Programs []program
	Cgo      bool   `json:",omitempty"` // built with cgo and linked statically
	Tags     string `json:",omitempty"`
	LDFlags  string `json:",omitempty"` // beside -s -w
	Source   string `json:",omitempty"` // the main.go of a program of our own, of Modules where it has any
	// Copies are files of the first module that become part of the artifact, by their path in the module.
	Copies []string `json:",omitempty"`
}

// buildDate and buildCommit are stamped into all programs: fixed, so that a build can be repeated to the byte.
const (
	buildDate   = "2026-01-01T00:00:00Z"
	buildCommit = "0000000000000000000000000000000000000000"
)

// groups is the recipe of every Go artifact, the longest build first.
func groups(v Versions) []group {
	return []group{
		kubernetes(v.Kubernetes),
		{
			Name: "containerd", Version: v.Containerd,
			Modules: []string{"github.com/containerd/containerd/v2@" + v.Containerd},
			Programs: []program{
				{"github.com/containerd/containerd/v2/cmd/containerd", "containerd"},
				{"github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2", "containerd-shim-runc-v2"},
				{"github.com/containerd/containerd/v2/cmd/ctr", "ctr"},
			},
			LDFlags: "-X github.com/containerd/containerd/v2/version.Version=" + v.Containerd +
				" -X github.com/containerd/containerd/v2/version.Revision=" + buildCommit,
		},
		{
			Name: "etcd", Version: v.Etcd,
			Modules: []string{
				"go.etcd.io/etcd/server/v3@" + v.Etcd,
				"go.etcd.io/etcd/etcdctl/v3@" + v.Etcd,
				"go.etcd.io/etcd/etcdutl/v3@" + v.Etcd,
			},
			Programs: []program{
				{"go.etcd.io/etcd/server/v3", "etcd"},
				{"go.etcd.io/etcd/etcdctl/v3", "etcdctl"},
				{"go.etcd.io/etcd/etcdutl/v3", "etcdutl"},
			},
			LDFlags: "-X go.etcd.io/etcd/api/v3/version.GitSHA=" + buildCommit[:7],
		},
		{
			Name: "coredns", Version: v.CoreDNS,
			Modules:  []string{"github.com/coredns/coredns@" + v.CoreDNS},
			Programs: []program{{"kforge.dev/lab/coredns", "coredns"}},
			LDFlags:  "-X github.com/coredns/coredns/coremain.GitCommit=" + buildCommit[:7],
			Source:   source("coredns/main.go.txt"), // no Go file here: its imports are no modules of ours
		},
		{
			Name: "flannel", Version: v.Flannel,
			Modules:  []string{"github.com/flannel-io/flannel@" + v.Flannel},
			Programs: []program{{"github.com/flannel-io/flannel", "flanneld"}},
			Cgo:      true,
			Tags:     "netgo osusergo",
			LDFlags:  "-X github.com/flannel-io/flannel/pkg/version.Version=" + v.Flannel,
			Copies:   []string{"Documentation/kube-flannel.yml"},
		},
		{
			// The seccomp tag is not optional: without it every pod sandbox fails.
			Name: "runc", Version: v.Runc,
			Modules:  []string{"github.com/opencontainers/runc@" + v.Runc},
			Programs: []program{{"github.com/opencontainers/runc", "runc"}},
			Cgo:      true,
			Tags:     "netgo osusergo seccomp",
			LDFlags:  "-X main.version=" + strings.TrimPrefix(v.Runc, "v") + " -X main.gitCommit=" + buildCommit,
		},
		{
			Name: "cni-plugins", Version: v.CNI,
			Modules:  []string{"github.com/containernetworking/plugins@" + v.CNI},
			Programs: cniPrograms("main/bridge", "main/loopback", "ipam/host-local", "meta/portmap", "meta/bandwidth", "meta/firewall", "meta/tuning"),
			LDFlags:  "-X github.com/containernetworking/plugins/pkg/utils/buildversion.BuildVersion=" + v.CNI,
		},
		{
			Name: "flannel-cni-plugin", Version: v.FlannelCNI,
			Modules:  []string{"github.com/containernetworking/plugins@" + v.FlannelCNI},
			Programs: cniPrograms("meta/flannel"),
		},
		own("pause"),
		own("probe"),
	}
}

func kubernetes(version string) group {
	g := group{
		Name: "kubernetes", Version: version,
		Modules: []string{"k8s.io/kubernetes@" + version},
		Staging: "k8s.io/kubernetes@" + version,
	}
	for _, name := range []string{"kubeadm", "kubelet", "kubectl", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy"} {
		g.Programs = append(g.Programs, program{"k8s.io/kubernetes/cmd/" + name, name})
	}
	// Without the whole set kubeadm takes itself for a placeholder version and skips its own skew checks.
	parts := strings.Split(strings.TrimPrefix(version, "v"), ".")
	for _, kv := range [][2]string{
		{"gitVersion", version}, {"gitMajor", parts[0]}, {"gitMinor", parts[1]},
		{"gitCommit", buildCommit}, {"gitTreeState", "clean"}, {"buildDate", buildDate},
	} {
		g.LDFlags += " -X k8s.io/component-base/version." + kv[0] + "=" + kv[1]
	}
	g.LDFlags = strings.TrimSpace(g.LDFlags)
	return g
}

func cniPrograms(names ...string) []program {
	var out []program
	for _, name := range names {
		_, base, _ := strings.Cut(name, "/")
		out = append(out, program{"github.com/containernetworking/plugins/plugins/" + name, base})
	}
	return out
}

// own is a program of the lab itself, whose source is embedded in this one.
func own(name string) group {
	return group{Name: name, Version: "v1", Programs: []program{{"kforge.dev/lab/" + name, name}}, Source: source(name + "/main.go")}
}

func source(file string) string {
	text, err := programs.ReadFile("programs/" + file)
	if err != nil {
		panic("embedded program " + file + " is missing: " + err.Error()) // impossible: go:embed names it
	}
	return string(text)
}
