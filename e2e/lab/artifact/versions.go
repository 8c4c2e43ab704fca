package artifact

import (
	"fmt"
	"regexp"
	"sort"
	"strings"
)

// DefaultKubernetes is the Kubernetes version the lab builds when none is named.
const DefaultKubernetes = "v1.37.2"

// Versions is the one table of what the lab builds. Every version has its leading v.
type Versions struct {
	Kubernetes string
	Etcd       string // of go.etcd.io/etcd; the image carries the tag that kubeadm asks for
	CoreDNS    string

	Containerd string
	Runc       string
	CNI        string // bridge, host-local and their kin
	Flannel    string
	FlannelCNI string // the meta plugin, from the last CNI plugins release that had it
	// FlannelCNITag is the tag under which manifests ask for the meta plugin's image.
	FlannelCNITag string
	HAProxy       string // of Debian 13, whose package the image holds
}

// perMinor holds what changes with the Kubernetes minor version: the etcd and CoreDNS that its kubeadm deploys, each the
// nearest version that the Go module proxy has.
var perMinor = map[string]struct{ etcd, coredns string }{
	"v1.37": {"v3.7.0", "v1.14.6"},
	"v1.36": {"v3.6.8", "v1.14.2"},
	"v1.35": {"v3.6.6", "v1.13.1"},
}

var fullVersion = regexp.MustCompile(`^(v1\.\d+)\.\d+$`)

// For returns the versions that go with a Kubernetes version such as v1.37.2.
func For(kubernetes string) (Versions, error) {
	m := fullVersion.FindStringSubmatch(kubernetes)
	if m == nil {
		return Versions{}, fmt.Errorf("reading kubernetes version %q: want the form v1.37.2", kubernetes)
	}
	minor, ok := perMinor[m[1]]
	if !ok {
		var known []string
		for k := range perMinor {
			known = append(known, k)
		}
		sort.Strings(known)
		return Versions{}, fmt.Errorf("kubernetes %s is not in the lab's table, which has %s", kubernetes, strings.Join(known, ", "))
	}
	return Versions{
		Kubernetes: kubernetes,
		Etcd:       minor.etcd,
		CoreDNS:    minor.coredns,

		Containerd:    "v2.4.2",
		Runc:          "v1.5.2",
		CNI:           "v1.9.1",
		Flannel:       "v0.26.7",
		FlannelCNI:    "v0.9.1",
		FlannelCNITag: "v1.6.2-flannel1",
		HAProxy:       "3.0.11",
	}, nil
}
