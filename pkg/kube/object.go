package kube

import (
	"bufio"
	"bytes"
	"errors"
	"io"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/spec"
)

// decode reads the documents of a manifest, in order; a List gives its items.
func decode(o spec.Object) ([]*unstructured.Unstructured, error) {
	const op = "read manifest"
	var out []*unstructured.Unstructured
	docs := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(o.Manifest)))
	for {
		doc, err := docs.Read()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, diag.Wrap(diag.Invalid, op, err)
		}
		var content map[string]any
		if err := yaml.Unmarshal(doc, &content); err != nil {
			return nil, diag.Wrap(diag.Invalid, op, err)
		}
		if len(content) == 0 { // comments only
			continue
		}
		u := &unstructured.Unstructured{Object: content}
		if u.IsList() {
			err := u.EachListItem(func(item runtime.Object) error {
				out = append(out, item.(*unstructured.Unstructured))
				return nil
			})
			if err != nil {
				return nil, diag.Wrap(diag.Invalid, op, err)
			}
			continue
		}
		out = append(out, u)
	}
}

// prepare checks an object of a manifest and takes out what only the API server
// may write.
func prepare(u *unstructured.Unstructured) error {
	if u.GetAPIVersion() == "" || u.GetKind() == "" || u.GetName() == "" {
		return diag.New(diag.Invalid, "read manifest", "an object lacks its apiVersion, kind or name (%q, %q, %q)",
			u.GetAPIVersion(), u.GetKind(), u.GetName())
	}
	unstructured.RemoveNestedField(u.Object, "status")
	for _, f := range serverFields {
		unstructured.RemoveNestedField(u.Object, "metadata", f)
	}
	return nil
}

// serverFields of metadata change without anybody wanting it.
var serverFields = []string{"managedFields", "resourceVersion", "generation", "creationTimestamp", "uid", "selfLink"}

// title is how changes and errors name an object: "Deployment kube-system/coredns".
func title(u *unstructured.Unstructured) string {
	if ns := u.GetNamespace(); ns != "" {
		return u.GetKind() + " " + ns + "/" + u.GetName()
	}
	return u.GetKind() + " " + u.GetName()
}
