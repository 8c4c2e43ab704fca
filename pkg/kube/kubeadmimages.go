package kube

import (
	"context"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/spec"
)

// editKubeadmImages makes kubeadm's settings name these tags of etcd and CoreDNS.
// A tag in them wins over what a newer kubeadm would take, and so would keep both
// as they are. What else the settings hold stays, also what we do not know. An
// etcd that kubeadm does not run, and settings without a tag, are left alone.
func editKubeadmImages(u *unstructured.Unstructured, want spec.KubeadmImages) (*spec.Change, error) {
	const key = "ClusterConfiguration"
	op := "read ConfigMap " + u.GetName()
	text, _, err := unstructured.NestedString(u.Object, "data", key)
	if err != nil {
		return nil, diag.Wrap(diag.Foreign, op, err)
	}
	var config map[string]any
	if err := yaml.Unmarshal([]byte(text), &config); err != nil {
		return nil, diag.Wrap(diag.Foreign, op, err)
	}
	var details []string
	for _, one := range []struct {
		name, tag string
		path      []string
	}{
		{"etcd", want.Etcd, []string{"etcd", "local"}},
		{"CoreDNS", want.CoreDNS, []string{"dns"}},
	} {
		at := append(one.path, "imageTag")
		before, _, err := unstructured.NestedString(config, at...)
		if err != nil {
			return nil, diag.Wrap(diag.Foreign, op, err)
		}
		if before == "" || one.tag == "" || before == one.tag {
			continue
		}
		if err := unstructured.SetNestedField(config, one.tag, at...); err != nil {
			return nil, diag.Wrap(diag.Foreign, op, err)
		}
		details = append(details, fmt.Sprintf("%s %s to %s", one.name, before, one.tag))
	}
	if len(details) == 0 {
		return nil, nil
	}
	out, err := yaml.Marshal(config)
	if err != nil {
		return nil, diag.Wrap(diag.Internal, op, err)
	}
	return &spec.Change{
		Resource: "ConfigMap kube-system/kubeadm-config", Action: spec.Update,
		Why: "kubeadm upgrades to the images that it names", Detail: strings.Join(details, ", "),
	}, unstructured.SetNestedField(u.Object, string(out), "data", key)
}

func (c *Cluster) planKubeadmImages(ctx context.Context, want spec.KubeadmImages) ([]spec.Change, error) {
	u, err := c.systemObject(ctx, configMaps, "kubeadm-config")
	if err != nil {
		return nil, err
	}
	change, err := editKubeadmImages(u, want)
	if err != nil || change == nil {
		return nil, err
	}
	return []spec.Change{*change}, nil
}

func (c *Cluster) setKubeadmImages(ctx context.Context, want spec.KubeadmImages, did func(spec.Change)) error {
	_, err := c.update(ctx, configMaps, "kubeadm-config", func(u *unstructured.Unstructured) (*spec.Change, error) {
		return editKubeadmImages(u, want)
	}, did)
	return err
}
