package spec

// HostWork is the work of a graph step on one host.
type HostWork struct {
	Resources []Resource `json:"resources"`
	// Values that Inputs of commands may name as "${kforge:NAME}" come from
	// steps of the cluster; those listed here must be known before the step.
	Values []string `json:"values,omitempty"`
}

// KubeWork is the work of a graph step on the cluster, done in this order:
// wait, delete, apply, token, ready.
type KubeWork struct {
	// Wait for the API server to answer /readyz before anything else.
	WaitAPI bool `json:"waitAPI,omitempty"`
	// WaitAPISeconds until that wait fails, 0 means 300.
	WaitAPISeconds int `json:"waitAPISeconds,omitempty"`
	// ForgetNodes are Node objects to delete: their hosts have not joined.
	ForgetNodes []string `json:"forgetNodes,omitempty"`
	// Objects are applied server-side, in order.
	Objects []Object `json:"objects,omitempty"`
	// JoinToken makes a bootstrap token and puts the values "join-token",
	// and "cluster-info" (a kubeconfig with CA and server only) into
	// the run's values.
	JoinToken *JoinToken `json:"joinToken,omitempty"`
	// Ready is waited for by watch, all at once.
	Ready []Ready `json:"ready,omitempty"`
}

// Object is a Kubernetes object as JSON or YAML.
type Object struct {
	Manifest []byte `json:"manifest"`
	Why      string `json:"why,omitempty"`
	// Merge leaves alone what the manifest does not name on an object that
	// somebody else owns (a Node's labels): it is not created when missing.
	Merge bool `json:"merge,omitempty"`
}

// JoinToken asks for a bootstrap token.
type JoinToken struct {
	TTLSeconds  int    `json:"ttlSeconds"`
	Description string `json:"description"`
}

// Ready names something to wait for.
type Ready struct {
	Kind      string `json:"kind"` // Node, Deployment, DaemonSet
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	// TimeoutSeconds until the wait fails, 0 means 300.
	TimeoutSeconds int `json:"timeoutSeconds,omitempty"`
}

// Names of the values that a JoinToken gives.
const (
	ValueJoinToken   = "join-token"
	ValueClusterInfo = "cluster-info" // kubeconfig with CA and server, no user
)

// ValueRef is how a command's input names a value of the run.
func ValueRef(name string) string { return "${kforge:" + name + "}" }
