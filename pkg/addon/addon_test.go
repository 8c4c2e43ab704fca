package addon_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"kforge.dev/kforge/pkg/addon"
	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/node/nodetest"
	"kforge.dev/kforge/pkg/spec"
)

func flannel(t *testing.T, change func(*addon.FlannelInput)) []spec.Object {
	t.Helper()
	in := addon.FlannelInput{
		PodCIDR: "10.244.0.0/16", Backend: "vxlan", MTU: 1450, NFTables: true,
		Image:          "ghcr.io/flannel-io/flannel:v0.26.7",
		CNIPluginImage: "ghcr.io/flannel-io/flannel-cni-plugin:v1.6.2-flannel1",
	}
	if change != nil {
		change(&in)
	}
	objects, err := addon.Flannel(in)
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

func TestFlannel(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*addon.FlannelInput){
		"vxlan":   nil,
		"host-gw": func(in *addon.FlannelInput) { in.Backend, in.MTU, in.NFTables = "host-gw", 1400, false },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var all bytes.Buffer
			var kinds []string
			for _, o := range flannel(t, change) {
				var head struct{ APIVersion, Kind string }
				if err := yaml.UnmarshalStrict(o.Manifest, &map[string]any{}); err != nil {
					t.Fatalf("%v in\n%s", err, o.Manifest)
				}
				if err := yaml.Unmarshal(o.Manifest, &head); err != nil || head.APIVersion == "" {
					t.Fatalf("no kind: %v in\n%s", err, o.Manifest)
				}
				kinds = append(kinds, head.Kind)
				all.WriteString("---\n")
				all.Write(o.Manifest)
			}
			nodetest.Golden(t, "flannel-"+name+".yaml", all.Bytes())
			want := "Namespace ServiceAccount ClusterRole ClusterRoleBinding ConfigMap DaemonSet"
			if got := strings.Join(kinds, " "); got != want {
				t.Errorf("order %s, want %s", got, want)
			}
		})
	}
}

// The configuration is JSON inside YAML: it must come out as it went in, and a
// change of it must roll the DaemonSet.
func TestFlannelConfig(t *testing.T) {
	t.Parallel()
	read := func(objects []spec.Object) (net, cni map[string]any, digest string) {
		var config struct{ Data map[string]string }
		if err := yaml.Unmarshal(objects[4].Manifest, &config); err != nil {
			t.Fatal(err)
		}
		for name, into := range map[string]*map[string]any{"net-conf.json": &net, "cni-conf.json": &cni} {
			if err := json.Unmarshal([]byte(config.Data[name]), into); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		_, rest, _ := strings.Cut(string(objects[5].Manifest), "kforge.dev/config: ")
		digest, _, _ = strings.Cut(rest, "\n")
		return net, cni, digest
	}
	net, cni, before := read(flannel(t, nil))
	if mtu := net["Backend"].(map[string]any)["MTU"]; mtu != 1500.0 {
		t.Errorf("flannel takes the header off %v, want 1500", mtu)
	}
	if net["EnableNFTables"] != true || net["Network"] != "10.244.0.0/16" || cni["name"] != "cbr0" {
		t.Errorf("net-conf %v cni-conf %v", net, cni)
	}
	net, _, after := read(flannel(t, func(in *addon.FlannelInput) { in.MTU = 0 }))
	if _, set := net["Backend"].(map[string]any)["MTU"]; set {
		t.Errorf("an unknown MTU is written: %v", net)
	}
	if before == after || before == "" {
		t.Errorf("digest %q stays with another configuration", before)
	}
	if _, err := addon.Flannel(addon.FlannelInput{Backend: "ipip"}); err == nil {
		t.Error("an unknown backend is accepted")
	}
}

func TestPodMTU(t *testing.T) {
	t.Parallel()
	fleet := map[string]*facts.Host{"n1": nodetest.Machine("10.0.0.11"), "n2": nodetest.Machine("10.0.0.12")}
	fleet["n2"].Interfaces[1].MTU = 1400
	c := nodetest.Cluster("v1.37.2")
	for _, tt := range []struct {
		cni  inventory.CNI
		want int
	}{
		{inventory.CNI{}, 1350},
		{inventory.CNI{Backend: "vxlan"}, 1350},
		{inventory.CNI{Backend: "host-gw"}, 1400},
		{inventory.CNI{Backend: "vxlan", MTU: 8950}, 8950},
	} {
		c.CNI = tt.cni
		if got := addon.PodMTU(c, fleet); got != tt.want {
			t.Errorf("%+v: %d, want %d", tt.cni, got, tt.want)
		}
	}
	c.CNI = inventory.CNI{}
	if got := addon.PodMTU(c, nil); got != 0 {
		t.Errorf("without facts: %d", got)
	}
}

func TestLabels(t *testing.T) {
	t.Parallel()
	c := nodetest.Cluster("v1.37.2")
	both, worker, tainted := c.Hosts[0], c.Hosts[1], c.Hosts[0]
	both.Roles = []string{inventory.RoleControlPlane, inventory.RoleWorker}
	worker.Labels = map[string]string{"disk": "ssd"}
	tainted.Taints = []inventory.Taint{{Key: "gpu", Value: "yes", Effect: "NoExecute"}}
	for want, h := range map[string]inventory.ResolvedHost{
		`"labels":{"node-role.kubernetes.io/control-plane":""},"name":"n1"},"spec":{"taints":[{"key":"node-role.kubernetes.io/control-plane","effect":"NoSchedule"}]}}`:                                                  c.Hosts[0],
		`"labels":{"node-role.kubernetes.io/control-plane":"","node-role.kubernetes.io/worker":""},"name":"n1"},"spec":{"taints":[]}}`:                                                                                   both,
		`"labels":{"disk":"ssd","node-role.kubernetes.io/worker":""},"name":"n2"},"spec":{"taints":[]}}`:                                                                                                                 worker,
		`"labels":{"node-role.kubernetes.io/control-plane":""},"name":"n1"},"spec":{"taints":[{"key":"node-role.kubernetes.io/control-plane","effect":"NoSchedule"},{"key":"gpu","value":"yes","effect":"NoExecute"}]}}`: tainted,
	} {
		o, err := addon.Labels(h)
		if got := strings.TrimPrefix(string(o.Manifest), `{"apiVersion":"v1","kind":"Node","metadata":{`); err != nil || !o.Merge || got != want {
			t.Errorf("%v merge %v\n got %s\nwant %s", err, o.Merge, got, want)
		}
	}
	if len(worker.Labels) != 1 {
		t.Errorf("the inventory's labels were changed: %v", worker.Labels)
	}
}
