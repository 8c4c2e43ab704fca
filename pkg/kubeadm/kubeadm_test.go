package kubeadm_test

import (
	"strings"
	"testing"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/kubeadm"
	"kforge.dev/kforge/pkg/node/nodetest"
	"kforge.dev/kforge/pkg/spec"
)

// input is host number i of the test cluster; change may alter it.
func input(t *testing.T, version string, i int, change func(*kubeadm.Input)) kubeadm.Input {
	t.Helper()
	c := nodetest.Cluster(version)
	images, err := nodetest.Artifacts{Version: version}.Images(inventory.RoleControlPlane, "amd64")
	if err != nil {
		t.Fatal(err)
	}
	fleet := map[string]*facts.Host{
		"n1": nodetest.Machine("10.0.0.11"), "n2": nodetest.Machine("10.0.0.12"), "n3": nodetest.Machine("10.0.0.13"),
	}
	in := kubeadm.Input{
		Cluster: c, Host: c.Hosts[i], Facts: fleet[c.Hosts[i].Name], NodeIP: c.Hosts[i].Address,
		Fleet: fleet, Images: images, APIServer: kubeadm.APIServer(c, "10.0.0.11"),
	}
	if change != nil {
		change(&in)
	}
	return in
}

func TestConfigs(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"v1.35.4", "v1.36.3", "v1.37.2"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			first, err := kubeadm.InitConfig(input(t, version, 0, nil))
			if err != nil {
				t.Fatal(err)
			}
			nodetest.Golden(t, "init-"+version+".yaml", first)
			join, err := kubeadm.JoinConfig(input(t, version, 1, nil))
			if err != nil {
				t.Fatal(err)
			}
			nodetest.Golden(t, "join-"+version+".yaml", join)
		})
	}
}

// Everything that a host or an inventory can ask for, in one file.
func TestSurprises(t *testing.T) {
	t.Parallel()
	all := func(in *kubeadm.Input) {
		for name := range in.Fleet {
			in.Fleet[name] = nodetest.Container("10.0.0.11")
		}
		in.Fleet["n3"].Kernel.Release = "5.4.0-150-generic"
		in.Facts = in.Fleet["n1"]
		in.Host.Roles = []string{inventory.RoleControlPlane, inventory.RoleWorker}
		in.Host.Taints = []inventory.Taint{{Key: "gpu", Value: "v100", Effect: "NoSchedule"}}
		in.Host.TimeoutScale = 2.5
		in.Cluster.Endpoint = "api.example.com:8443"
		in.Cluster.CertSANs = []string{"api.example.com", "192.0.2.10"}
		in.APIServer = kubeadm.APIServer(in.Cluster, in.NodeIP)
	}
	first, err := kubeadm.InitConfig(input(t, "v1.37.2", 0, all))
	if err != nil {
		t.Fatal(err)
	}
	nodetest.Golden(t, "init-surprises.yaml", first)
	join, err := kubeadm.JoinConfig(input(t, "v1.37.2", 1, all))
	if err != nil {
		t.Fatal(err)
	}
	nodetest.Golden(t, "join-surprises.yaml", join)
}

// A control plane that joins a cluster whose nodes have their own load balancers.
func TestControlPlaneJoins(t *testing.T) {
	t.Parallel()
	in := input(t, "v1.37.2", 1, func(in *kubeadm.Input) {
		in.Cluster = nodetest.HighlyAvailable("v1.37.2")
		in.Host = in.Cluster.Hosts[1]
		in.APIServer = in.Cluster.Endpoint
	})
	join, err := kubeadm.JoinConfig(in)
	if err != nil {
		t.Fatal(err)
	}
	nodetest.Golden(t, "join-control-plane.yaml", join)
	upload, err := kubeadm.UploadConfig(in)
	if err != nil {
		t.Fatal(err)
	}
	nodetest.Golden(t, "upload-certs.yaml", upload)
}

func TestTaints(t *testing.T) {
	t.Parallel()
	gpu := []inventory.Taint{{Key: "gpu", Effect: "NoExecute"}}
	both := []string{inventory.RoleControlPlane, inventory.RoleWorker}
	plane := []string{inventory.RoleControlPlane}
	tests := []struct {
		name   string
		roles  []string
		taints []inventory.Taint
		want   string // in the YAML
		not    string
	}{
		{name: "control plane only: kubeadm's own", roles: plane, not: "taints:"},
		{name: "control plane only and another", roles: plane, taints: gpu, want: "node-role.kubernetes.io/control-plane"},
		{name: "both: none", roles: both, want: "taints: []"},
		{name: "both and another", roles: both, taints: gpu, want: "key: gpu", not: "node-role.kubernetes.io"},
	}
	for _, tt := range tests {
		in := input(t, "v1.37.2", 0, func(in *kubeadm.Input) { in.Host.Roles, in.Host.Taints = tt.roles, tt.taints })
		got, err := kubeadm.InitConfig(in)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if !strings.Contains(string(got), tt.want) || tt.not != "" && strings.Contains(string(got), tt.not) {
			t.Errorf("%s: want %q and not %q in\n%s", tt.name, tt.want, tt.not, got)
		}
	}
}

func TestValidateRefuses(t *testing.T) {
	t.Parallel()
	good, err := kubeadm.InitConfig(input(t, "v1.37.2", 0, nil))
	if err != nil {
		t.Fatal(err)
	}
	for old, bad := range map[string]string{
		"podSubnet:":                    "podsSubnet:",      // kubeadm init would only warn
		"cgroupDriver:":                 "cgroupsDriver:",   // in the kubelet's part
		"mode: nftables":                "modus: nftables",  // in kube-proxy's part
		"serviceSubnet: 10.96.0.0/16":   "serviceSubnet: x", // values too
		"advertiseAddress: 10.0.0.11":   "advertiseAddress: n1",
		"name: n1":                      "name: N_1",
		"kind: ClusterConfiguration":    "kind: ClusterConfig",
		"kubeadm.k8s.io/v1beta4\nboots": "kubeadm.k8s.io/v1beta2\nboots",
	} {
		text := strings.Replace(string(good), old, bad, 1)
		if text == string(good) {
			t.Errorf("%q is not in the configuration", old)
			continue
		}
		if err := kubeadm.Validate([]byte(text)); diag.KindOf(err) != diag.Invalid {
			t.Errorf("%q instead of %q: %v", bad, old, err)
		}
	}
}

func TestBadInventoryIsRefused(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*kubeadm.Input){
		"pod network too small": func(in *kubeadm.Input) { in.Cluster.PodCIDR = "10.244.0.0/28" },
		"bad endpoint":          func(in *kubeadm.Input) { in.APIServer = "api_x:99999" },
		"no etcd image":         func(in *kubeadm.Input) { in.Images = in.Images[:5] },
	} {
		if _, err := kubeadm.InitConfig(input(t, "v1.37.2", 0, change)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestCommands(t *testing.T) {
	t.Parallel()
	first, err := kubeadm.Init(input(t, "v1.37.2", 0, nil))
	if err != nil {
		t.Fatal(err)
	}
	join, err := kubeadm.Join(input(t, "v1.37.2", 1, func(in *kubeadm.Input) { in.Host.TimeoutScale = 3 }))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []spec.Resource{first, join} {
		c := r.Command
		if len(c.Unless) == 0 || len(c.Recover) == 0 || c.Hint == "" || len(c.Inputs["config"]) == 0 {
			t.Errorf("%s lacks guard, recovery, hint or input: %+v", r.ID, c)
		}
		for _, arg := range append(c.Argv, c.Env...) {
			if strings.Contains(arg, "kforge:") {
				t.Errorf("%s: a value of the run in the argument %q, which everybody on the host can read", r.ID, arg)
			}
		}
	}
	if join.Command.TimeoutSeconds != 1260 {
		t.Errorf("join of a slow host ends after %d s", join.Command.TimeoutSeconds)
	}
	for input, want := range map[string]string{
		"config":                 spec.ValueRef(spec.ValueJoinToken),
		kubeadm.ClusterInfoInput: spec.ValueRef(spec.ValueClusterInfo),
	} {
		if got := string(join.Command.Inputs[input]); !strings.Contains(got, want) {
			t.Errorf("input %s does not name %s:\n%s", input, want, got)
		}
	}
}

func TestAPIServer(t *testing.T) {
	t.Parallel()
	for endpoint, want := range map[string]string{
		"":                     "10.0.0.11:6443",
		"api.example.com":      "api.example.com:6443",
		"api.example.com:8443": "api.example.com:8443",
		"fd00::1":              "[fd00::1]:6443",
		"[fd00::1]:7443":       "[fd00::1]:7443",
	} {
		if got := kubeadm.APIServer(&inventory.Cluster{Endpoint: endpoint}, "10.0.0.11"); got != want {
			t.Errorf("endpoint %q: %s, want %s", endpoint, got, want)
		}
	}
}

func TestImage(t *testing.T) {
	t.Parallel()
	images := []spec.Image{
		{Name: "localhost:5000/flannel-io/flannel-cni-plugin:v1"}, {Name: "localhost:5000/flannel-io/flannel:v2"},
		{Name: "pause:3.10.2"},
	}
	for name, want := range map[string]string{
		"flannel": "localhost:5000/flannel-io/flannel:v2", "pause": "pause:3.10.2", "annel": "", "etcd": "",
	} {
		if got, ok := kubeadm.Image(images, name); got != want || ok != (want != "") {
			t.Errorf("Image(%s) = %q, %v", name, got, ok)
		}
	}
}
