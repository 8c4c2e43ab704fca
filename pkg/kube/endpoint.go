package kube

import (
	"context"
	"fmt"
	"regexp"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/spec"
)

// endpointMark is on kube-proxy's settings once we changed them, and on the pods
// that were started with them: a run that was cut between the two is made up for.
const endpointMark = "kforge.dev/endpoint"

var (
	configMaps = corev1.SchemeGroupVersion.WithResource("configmaps")
	daemonSets = appsv1.SchemeGroupVersion.WithResource("daemonsets")

	// Where kubeadm writes the endpoint, as block YAML inside a ConfigMap.
	endpointLine = regexp.MustCompile(`(?m)^(controlPlaneEndpoint: )"?([^"\s]*)"?$`)
	serverLine   = regexp.MustCompile(`(?m)^( +server: )"?([^"\s]*)"?$`)
)

// endpointPart is one object that names the endpoint.
type endpointPart struct {
	resource schema.GroupVersionResource
	name     string // in kube-system
	what     string
	// edit makes the object name the endpoint and gives what it named before;
	// same when there is nothing to do.
	edit func(u *unstructured.Unstructured, endpoint string) (before string, err error)
}

var endpointParts = []endpointPart{
	{configMaps, "kubeadm-config", "kubeadm's settings", func(u *unstructured.Unstructured, endpoint string) (string, error) {
		return editLine(u, "ClusterConfiguration", endpointLine, endpoint)
	}},
	{configMaps, "kube-proxy", "kube-proxy's settings", func(u *unstructured.Unstructured, endpoint string) (string, error) {
		server := "https://" + endpoint
		before, err := editLine(u, "kubeconfig.conf", serverLine, server)
		if err == nil && before != server {
			annotations := u.GetAnnotations()
			if annotations == nil {
				annotations = map[string]string{}
			}
			annotations[endpointMark] = endpoint
			u.SetAnnotations(annotations)
		}
		return before, err
	}},
}

// editLine replaces the second group of the one line that matches in a key of a
// ConfigMap's data, and gives what was there.
func editLine(u *unstructured.Unstructured, key string, line *regexp.Regexp, value string) (before string, err error) {
	text, _, err := unstructured.NestedString(u.Object, "data", key)
	if err != nil {
		return "", err
	}
	found := line.FindAllStringSubmatchIndex(text, -1)
	if len(found) != 1 {
		return "", diag.New(diag.Foreign, "read ConfigMap "+u.GetName(), "%s names %d endpoints, and kubeadm writes one", key, len(found)).
			WithHint("set it to %s by hand: kubectl -n kube-system edit configmap %s", value, u.GetName())
	}
	at := found[0]
	before = text[at[4]:at[5]]
	text = text[:at[0]] + text[at[2]:at[3]] + value + text[at[1]:]
	return before, unstructured.SetNestedField(u.Object, text, "data", key)
}

// planEndpoint tells what setEndpoint would change.
func (c *Cluster) planEndpoint(ctx context.Context, endpoint string) ([]spec.Change, error) {
	var changes []spec.Change
	marked := ""
	for _, p := range endpointParts {
		u, err := c.systemObject(ctx, p.resource, p.name)
		if err != nil {
			return nil, err
		}
		change, err := p.change(u, endpoint)
		if err != nil {
			return nil, err
		}
		if change != nil {
			changes = append(changes, *change)
		}
		if p.name == "kube-proxy" {
			marked = u.GetAnnotations()[endpointMark]
		}
	}
	u, err := c.systemObject(ctx, daemonSets, "kube-proxy")
	if err != nil {
		return nil, err
	}
	if marked != "" && podMark(u) != marked {
		changes = append(changes, rollChange())
	}
	return changes, nil
}

// change edits the object in memory and tells what that changes, nil for nothing.
func (p endpointPart) change(u *unstructured.Unstructured, endpoint string) (*spec.Change, error) {
	text := fmt.Sprint(u.Object["data"])
	before, err := p.edit(u, endpoint)
	if err != nil || fmt.Sprint(u.Object["data"]) == text {
		return nil, err
	}
	return &spec.Change{
		Resource: "ConfigMap kube-system/" + p.name, Action: spec.Update, Why: p.what + " name the API's endpoint",
		Detail: fmt.Sprintf("endpoint %s to %s", before, endpoint),
	}, nil
}

func rollChange() spec.Change {
	return spec.Change{Resource: "DaemonSet kube-system/kube-proxy", Action: spec.Restart, Why: "its settings changed"}
}

func podMark(u *unstructured.Unstructured) string {
	mark, _, err := unstructured.NestedString(u.Object, "spec", "template", "metadata", "annotations", endpointMark)
	if err != nil {
		return "" // somebody made it something else; ours goes in its place
	}
	return mark
}

// setEndpoint lets kubeadm's settings and kube-proxy know the endpoint.
func (c *Cluster) setEndpoint(ctx context.Context, endpoint string, did func(spec.Change)) error {
	marked := ""
	for _, p := range endpointParts {
		u, err := c.update(ctx, p.resource, p.name, func(u *unstructured.Unstructured) (*spec.Change, error) {
			return p.change(u, endpoint)
		}, did)
		if err != nil {
			return err
		}
		if p.name == "kube-proxy" {
			marked = u.GetAnnotations()[endpointMark]
		}
	}
	if marked == "" { // as kubeadm made it: its pods have never known another
		return nil
	}
	_, err := c.update(ctx, daemonSets, "kube-proxy", func(u *unstructured.Unstructured) (*spec.Change, error) {
		if podMark(u) == marked {
			return nil, nil
		}
		change := rollChange()
		return &change, unstructured.SetNestedField(u.Object, marked, "spec", "template", "metadata", "annotations", endpointMark)
	}, did)
	return err
}

// update reads an object of kube-system, lets edit change it and sends it back if
// it did, anew when somebody else changed it in between.
func (c *Cluster) update(ctx context.Context, gvr schema.GroupVersionResource, name string,
	edit func(*unstructured.Unstructured) (*spec.Change, error), did func(spec.Change),
) (*unstructured.Unstructured, error) {
	for attempt := 1; ; attempt++ {
		u, err := c.systemObject(ctx, gvr, name)
		if err != nil {
			return nil, err
		}
		change, err := edit(u)
		if err != nil || change == nil {
			return u, err
		}
		_, err = c.at(gvr, metav1.NamespaceSystem).Update(ctx, u, metav1.UpdateOptions{FieldManager: fieldManager})
		switch {
		case err == nil:
			did(*change)
			return u, nil
		case !apierrors.IsConflict(err) || attempt == 5:
			return nil, apiError(ctx, "update "+change.Resource, err)
		}
	}
}

func (c *Cluster) systemObject(ctx context.Context, gvr schema.GroupVersionResource, name string) (*unstructured.Unstructured, error) {
	u, err := c.at(gvr, metav1.NamespaceSystem).Get(ctx, name, metav1.GetOptions{})
	return u, apiError(ctx, "read "+gvr.Resource+" kube-system/"+name, err)
}
