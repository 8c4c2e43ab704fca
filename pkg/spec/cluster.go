package spec

// HostWork is the work of a graph step on one host.
type HostWork struct {
	Resources []Resource `json:"resources"`
	// Values that Inputs of commands may name as "${kforge:NAME}" come from
	// steps of the cluster; those listed here must be known before the step.
	Values []string `json:"values,omitempty"`
}

// KubeWork is the work of a graph step on the cluster, done in this order:
// wait, forget, drain, delete, apply, endpoint, images, token, ready, uncordon.
type KubeWork struct {
	// Wait for the API server to answer /readyz before anything else.
	WaitAPI bool `json:"waitAPI,omitempty"`
	// WaitAPISeconds until that wait fails, 0 means 300.
	WaitAPISeconds int `json:"waitAPISeconds,omitempty"`
	// ForgetNodes are Node objects to delete: their hosts have not joined.
	ForgetNodes []string `json:"forgetNodes,omitempty"`
	// Drain nodes, all at once: cordon, evict, wait until the pods are gone.
	Drain []Drain `json:"drain,omitempty"`
	// DeleteNodes are Node objects to delete: their hosts leave the cluster.
	DeleteNodes []string `json:"deleteNodes,omitempty"`
	// Objects are applied server-side, in order.
	Objects []Object `json:"objects,omitempty"`
	// Endpoint is host:port of the API as kubeadm's settings and kube-proxy are to
	// know it; "" leaves them alone. kube-proxy is rolled when it changes.
	Endpoint string `json:"endpoint,omitempty"`
	// KubeadmImages are tags that kubeadm's settings are to name; nil leaves them.
	KubeadmImages *KubeadmImages `json:"kubeadmImages,omitempty"`
	// JoinToken makes a bootstrap token and puts the values "join-token",
	// and "cluster-info" (a kubeconfig with CA and server only) into
	// the run's values.
	JoinToken *JoinToken `json:"joinToken,omitempty"`
	// Ready is waited for by watch, all at once.
	Ready []Ready `json:"ready,omitempty"`
	// Uncordon undoes the cordon of a Drain. A node that somebody else cordoned
	// stays as it is.
	Uncordon []string `json:"uncordon,omitempty"`
}

// Drain takes the pods off a node by way of the eviction API, so that
// PodDisruptionBudgets hold. Pods of DaemonSets, static pods and pods that have
// finished stay. What is in a pod's emptyDir volumes is lost with the pod, as
// whenever a pod goes; plans tell of it. A pod that no controller would bring
// back elsewhere is refused, before anything is evicted, unless Force is set.
// A node that does not exist needs nothing.
type Drain struct {
	Node string `json:"node"`
	// TimeoutSeconds until all pods have to be gone, 0 means 300. The node stays
	// cordoned when they are not.
	TimeoutSeconds int  `json:"timeoutSeconds,omitempty"`
	Force          bool `json:"force,omitempty"`
	// CordonOnly evicts nothing: it keeps new pods away.
	CordonOnly bool `json:"cordonOnly,omitempty"`
}

// EtcdWork is the work of a graph step on etcd's members, done in this order:
// remove, defragment, wait, hand over, snapshot.
type EtcdWork struct {
	// Remove are members to take out, by name or id; one that would take the
	// quorum with it is an error, one that is not there is none.
	Remove []string `json:"remove,omitempty"`
	// After are members that are removed by other work before this one: what is
	// planned and may be done is seen from then.
	After []string `json:"after,omitempty"`
	// Defragment has members that hold much unused space write their data anew,
	// one at a time.
	Defragment bool `json:"defragment,omitempty"`
	// Healthy waits until all members are.
	Healthy *EtcdHealthy `json:"healthy,omitempty"`
	// HandOver is a member that shall not lead: where it does, another one takes
	// over. Its restart stops no writes then.
	HandOver string `json:"handOver,omitempty"`
	// Snapshot is a file on the admin's machine that gets a checked snapshot; ""
	// takes none.
	Snapshot string `json:"snapshot,omitempty"`
}

// EtcdHealthy is a health gate: every member votes, is up and has caught up.
type EtcdHealthy struct {
	Voters int `json:"voters,omitempty"` // how many there must be, 0 is any number
	// TimeoutSeconds until the wait fails, 0 means 120.
	TimeoutSeconds int `json:"timeoutSeconds,omitempty"`
}

// Object is a Kubernetes object as JSON or YAML.
type Object struct {
	Manifest []byte `json:"manifest"`
	Why      string `json:"why,omitempty"`
	// Merge leaves alone what the manifest does not name on an object that
	// somebody else owns (a Node's labels): it is not created when missing.
	Merge bool `json:"merge,omitempty"`
}

// KubeadmImages are the tags of what kubeadm runs and does not version itself.
type KubeadmImages struct {
	Etcd    string `json:"etcd,omitempty"`
	CoreDNS string `json:"coreDNS,omitempty"`
}

// JoinToken asks for a bootstrap token.
type JoinToken struct {
	TTLSeconds  int    `json:"ttlSeconds"`
	Description string `json:"description"`
	// Server is what cluster-info names, "https://host:port"; "" is the server of
	// the admin's kubeconfig. A node that has not joined yet has no load balancer.
	Server string `json:"server,omitempty"`
	// CertificateKey asks for the value certificate-key too.
	CertificateKey bool `json:"certificateKey,omitempty"`
}

// Ready names something to wait for.
type Ready struct {
	Kind      string `json:"kind"` // Node, Deployment, DaemonSet, Pod
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	// Kubelet is the version that a Node's kubelet has to report: a node says that
	// it is ready for a while after its kubelet was stopped.
	Kubelet string `json:"kubelet,omitempty"`
	// RenewedBy names the node of a static Pod whose kubelet, restarted just now as
	// one of another minor, makes the pod anew: the pod that it found is not meant.
	RenewedBy string `json:"renewedBy,omitempty"`
	// TimeoutSeconds until the wait fails, 0 means 300.
	TimeoutSeconds int `json:"timeoutSeconds,omitempty"`
}

// Names of the values that a JoinToken gives.
const (
	ValueJoinToken   = "join-token"
	ValueClusterInfo = "cluster-info" // kubeconfig with CA and server, no user
	// ValueCertificateKey encrypts the CAs and keys that control planes fetch when
	// they join: 64 hex digits.
	ValueCertificateKey = "certificate-key"
)

// ValueRef is how a command's input names a value of the run.
func ValueRef(name string) string { return "${kforge:" + name + "}" }
