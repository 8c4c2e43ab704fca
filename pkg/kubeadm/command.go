package kubeadm

import (
	"slices"

	bootstraptoken "k8s.io/kubernetes/cmd/kubeadm/app/apis/bootstraptoken/v1"

	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/node"
	"kforge.dev/kforge/pkg/spec"
)

// IDs of the two commands, which facts name when one was interrupted.
const (
	InitID = "command kubeadm init"
	// RestoredInitID is that of a control plane whose etcd was restored first: it
	// is another, so that no later run takes it for one that may be reset.
	RestoredInitID = "command kubeadm init of a restored cluster"
	JoinID         = "command kubeadm join"
	// UploadCertsID is run before control planes join.
	UploadCertsID = "command kubeadm upload-certs"
)

// Files that are there when init or join is done.
const (
	AdminConf   = "/etc/kubernetes/admin.conf"
	KubeletConf = node.KubeletConf
)

// SearchPath is for commands on hosts: kubeadm looks for kubelet, losetup, mount and the like on PATH, and a login
// by sudo may leave out the sbin folders.
const SearchPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// reset is what goes before a second try: the first never came to its end, so
// there is nothing of value yet. It stops the kubelet and the containers and
// empties /etc/kubernetes/{manifests,pki}, its kubeconfigs, /var/lib/kubelet
// and /var/lib/etcd. It leaves CNI configuration and packet filter rules, which
// do a new init no harm, and our files.
var reset = []string{node.KubeadmBinary, "reset", "--force", "--cri-socket", node.CRISocket}

// Init gives the command that makes the first control plane.
func Init(in Input) (spec.Resource, error) {
	config, err := InitConfig(in)
	if err != nil {
		return spec.Resource{}, err
	}
	out := spec.Resource{
		ID: InitID, Why: "the cluster begins here",
		Command: &spec.Command{
			Argv:           []string{node.KubeadmBinary, "init", "--config", "@{config}", "--skip-token-print"},
			Env:            []string{SearchPath},
			Inputs:         map[string]spec.Secret{"config": config},
			Unless:         []string{AdminConf},
			Recover:        reset,
			RecoverKeeps:   []string{node.LoadBalancerManifest, node.VirtualIPManifest},
			TimeoutSeconds: node.Scale(600, in.Host.TimeoutScale),
			Hint: "look at the control plane's containers: `crictl ps -a`, and at `journalctl -u kubelet`; " +
				"then run the same again: what was half done is reset first",
		},
	}
	if in.Restored {
		// A reset would take the restored data and CAs with it.
		out.ID, out.Why, out.Command.Recover, out.Command.RecoverKeeps = RestoredInitID, "the cluster comes back here", nil, nil
	}
	return out, nil
}

// Reset gives the command that goes before a cluster comes back on a host where
// an earlier try broke off. It leaves etcd's data, old or restored, where it is.
func Reset(in Input) spec.Resource {
	return spec.Resource{
		ID: "command kubeadm reset", Why: "an earlier restore broke off here",
		Command: &spec.Command{
			Argv: append(slices.Clone(reset), "--skip-phases", "remove-etcd-member"),
			Env:  []string{SearchPath}, EachRun: true, TimeoutSeconds: node.Scale(300, in.Host.TimeoutScale),
		},
	}
}

// UploadCerts gives the command that puts the cluster's CAs and keys, encrypted
// by the value certificate-key, where control planes that join find them. kubeadm
// takes them away again after two hours.
func UploadCerts(in Input) (spec.Resource, error) {
	config, err := UploadConfig(in)
	if err != nil {
		return spec.Resource{}, err
	}
	return spec.Resource{
		ID: UploadCertsID, Why: "control planes that join share the cluster's CAs",
		Command: &spec.Command{
			Argv:           []string{node.KubeadmBinary, "init", "phase", "upload-certs", "--upload-certs", "--config", "@{config}"},
			Env:            []string{SearchPath},
			Inputs:         map[string]spec.Secret{"config": config},
			EachRun:        true,
			TimeoutSeconds: node.Scale(120, in.Host.TimeoutScale),
			Hint:           "is the API on this host ready? then run the same again",
		},
	}, nil
}

// Join gives the command that makes a node. It needs the values join-token and
// cluster-info, and that of a control plane certificate-key too.
func Join(in Input) (spec.Resource, error) {
	config, err := JoinConfig(in)
	if err != nil {
		return spec.Resource{}, err
	}
	return spec.Resource{
		ID: JoinID, Why: "the host becomes a node",
		Command: &spec.Command{
			Argv: []string{node.KubeadmBinary, "join", "--config", "@{config}"},
			Env:  []string{SearchPath},
			Inputs: map[string]spec.Secret{
				"config":         config,
				ClusterInfoInput: spec.Secret(spec.ValueRef(spec.ValueClusterInfo)),
			},
			Unless:         joinLeaves(in.Host),
			Recover:        reset,
			RecoverKeeps:   []string{node.LoadBalancerManifest, node.VirtualIPManifest},
			TimeoutSeconds: node.Scale(420, in.Host.TimeoutScale),
			Hint: "can the host reach the API at " + in.APIServer + "? look at `journalctl -u kubelet` on it; " +
				"then run the same again: what was half done is reset first",
		},
	}, nil
}

// joinLeaves are files that are there when a join is done.
func joinLeaves(h inventory.ResolvedHost) []string {
	if h.ControlPlane() {
		return []string{KubeletConf, AdminConf}
	}
	return []string{KubeletConf}
}

// HalfDone tells whether an init or a join began on the host and did not end well.
func HalfDone(f *facts.Host) bool {
	return slices.ContainsFunc(f.Kubernetes.Interrupted, func(id string) bool { return id == InitID || id == JoinID || id == RestoredInitID })
}

// RestoreBroke tells whether a restored cluster's init began and did not end well.
func RestoreBroke(f *facts.Host) bool {
	return slices.Contains(f.Kubernetes.Interrupted, RestoredInitID)
}

func standIn() *bootstraptoken.BootstrapTokenString {
	return &bootstraptoken.BootstrapTokenString{ID: "abcdef", Secret: "0123456789abcdef"}
}
