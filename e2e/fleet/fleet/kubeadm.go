package fleet

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"strings"

	"kforge.dev/kforge/pkg/kube/kubetest"
	"kforge.dev/kforge/pkg/kubeadm"
	"kforge.dev/kforge/pkg/resource"
)

// API is the cluster's API, with just as much of controllers as is waited for.
type API struct{ *kubetest.Server }

func newAPI() *API {
	api := &API{kubetest.Start()}
	api.SetController(func(_ string, o kubetest.Object) kubetest.Object {
		switch o["kind"] {
		case "DaemonSet": // its pods run everywhere at once
			return kubetest.Object{"observedGeneration": math.MaxInt32, "desiredNumberScheduled": 1,
				"updatedNumberScheduled": 1, "numberReady": 1, "currentNumberScheduled": 1}
		case "Deployment":
			return kubetest.Object{"observedGeneration": math.MaxInt32, "replicas": 1,
				"updatedReplicas": 1, "availableReplicas": 1, "readyReplicas": 1}
		case "Pod":
			return kubetest.Object{"phase": "Running", "conditions": []any{kubetest.Object{"type": "Ready", "status": "True"}}}
		case "Node":
			return kubetest.Object{
				"conditions": []any{kubetest.Object{"type": "Ready", "status": "True", "reason": "KubeletReady"}},
				"nodeInfo":   kubetest.Object{"kubeletVersion": "v1.37.2"},
			}
		}
		return nil
	})
	return api
}

// node lets a host's Node appear.
func (a *API) node(name string) {
	a.Put("/api/v1/nodes/"+name, kubetest.Object{
		"apiVersion": "v1", "kind": "Node", "metadata": kubetest.Object{"name": name,
			"labels": kubetest.Object{"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}},
		"spec": kubetest.Object{},
	})
}

// staticPods lets those of a control plane appear.
func (a *API) staticPods(node string) {
	for _, file := range kubeadm.StaticPods {
		component := strings.TrimSuffix(file, ".yaml")
		name := component + "-" + node
		a.Put("/api/v1/namespaces/kube-system/pods/"+name, kubetest.Object{
			"apiVersion": "v1", "kind": "Pod",
			"metadata": kubetest.Object{"name": name, "namespace": "kube-system", "annotations": kubetest.Object{"kubernetes.io/config.mirror": "x"}},
			"spec":     kubetest.Object{"nodeName": node, "containers": []any{kubetest.Object{"name": component, "image": "registry.k8s.io/" + component + ":v1.37.2"}}},
		})
	}
}

// settings lets what kubeadm's init writes into the cluster appear.
func (a *API) settings(config string) {
	endpoint := ""
	for line := range strings.Lines(config) {
		if value, ok := strings.CutPrefix(line, "controlPlaneEndpoint: "); ok {
			endpoint = strings.TrimSpace(value)
		}
	}
	system := func(kind, name string, more kubetest.Object) kubetest.Object {
		o := kubetest.Object{"kind": kind, "metadata": kubetest.Object{"name": name, "namespace": "kube-system"}}
		maps.Copy(o, more)
		return o
	}
	const base = "/namespaces/kube-system/"
	a.Put("/api/v1"+base+"configmaps/kubeadm-config", system("ConfigMap", "kubeadm-config", kubetest.Object{
		"apiVersion": "v1", "data": kubetest.Object{"ClusterConfiguration": "controlPlaneEndpoint: " + endpoint + "\n"}}))
	a.Put("/api/v1"+base+"configmaps/kube-proxy", system("ConfigMap", "kube-proxy", kubetest.Object{
		"apiVersion": "v1", "data": kubetest.Object{"kubeconfig.conf": "clusters:\n- cluster:\n    server: https://" + endpoint + "\n"}}))
	a.Put("/apis/apps/v1"+base+"daemonsets/kube-proxy", system("DaemonSet", "kube-proxy", kubetest.Object{
		"apiVersion": "apps/v1", "spec": kubetest.Object{"template": kubetest.Object{}}}))
}

// actKubeadm lets the host act kubeadm's init, join and reset: their outcome,
// files and objects, without a cluster.
func actKubeadm(m *Machine, api *API) {
	m.Host.Commands["kubeadm"] = func(ctx context.Context, c resource.Cmd) (resource.Result, error) {
		if err := ctx.Err(); err != nil {
			return resource.Result{}, context.Cause(ctx)
		}
		var err error
		switch strings.Join(c.Argv[1:min(4, len(c.Argv))], " ") {
		case "init phase upload-certs":
			return resource.Result{}, nil
		}
		switch c.Argv[1] {
		case "init":
			config, rerr := os.ReadFile(configOf(c.Argv))
			err = errors.Join(rerr, m.write(kubeadm.AdminConf, api.Kubeconfig()))
			if err == nil {
				api.settings(string(config))
				api.staticPods(m.Name)
				api.Put("/apis/apps/v1/namespaces/kube-system/deployments/coredns", kubetest.Object{
					"apiVersion": "apps/v1", "kind": "Deployment", "metadata": kubetest.Object{"name": "coredns", "namespace": "kube-system"},
					"spec": kubetest.Object{"replicas": 1},
				})
				err = m.joined(ctx, api)
			}
		case "join":
			config, rerr := os.ReadFile(configOf(c.Argv))
			if rerr != nil || !strings.Contains(string(config), "JoinConfiguration") {
				return resource.Result{Code: 1, Stderr: "kubeadm: no JoinConfiguration"}, nil
			}
			if strings.Contains(string(config), "controlPlane:") {
				err = m.write(kubeadm.AdminConf, api.Kubeconfig())
				api.staticPods(m.Name)
			}
			err = errors.Join(err, m.joined(ctx, api))
		case "reset":
			for _, p := range []string{kubeadm.AdminConf, kubeadm.KubeletConf} {
				if rerr := os.Remove(filepath.Join(m.Root, p)); rerr != nil && !errors.Is(rerr, fs.ErrNotExist) {
					err = rerr
				}
			}
		default:
			return resource.Result{Code: 1, Stderr: "kubeadm: unknown command " + c.Argv[1]}, nil
		}
		return resource.Result{}, err
	}
}

// configOf finds the value of --config.
func configOf(argv []string) string {
	for i, a := range argv[:len(argv)-1] {
		if a == "--config" {
			return argv[i+1]
		}
	}
	return ""
}

// joined makes the host a node.
func (m *Machine) joined(ctx context.Context, api *API) error {
	if err := m.write(kubeadm.KubeletConf, []byte("apiVersion: v1\nclusters:\n- cluster:\n    server: https://10.0.0.1:6443\n  name: fleet\n")); err != nil {
		return err
	}
	if _, err := m.Host.Run(ctx, resource.Cmd{Argv: []string{"systemctl", "restart", "kubelet.service"}}); err != nil {
		return err
	}
	api.node(m.Name)
	return nil
}

// write writes a file of the host that only root may read.
func (m *Machine) write(path string, content []byte) error {
	p := filepath.Join(m.Root, path)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		return err
	}
	return os.WriteFile(p, content, 0o600)
}
