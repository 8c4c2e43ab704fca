package kube

import (
	"maps"
	"reflect"

	"github.com/aymanbagabas/go-udiff"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"kforge.dev/kforge/pkg/diag"
)

const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// equal compares what a person or kforge can set.
func equal(a, b *unstructured.Unstructured) bool {
	return reflect.DeepEqual(comparable(a), comparable(b))
}

// comparable is an object without status and what the API server counts.
func comparable(u *unstructured.Unstructured) map[string]any {
	if u == nil {
		return nil
	}
	c := u.DeepCopy()
	unstructured.RemoveNestedField(c.Object, "status")
	for _, f := range serverFields {
		unstructured.RemoveNestedField(c.Object, "metadata", f)
	}
	return c.Object
}

// diff shows how an object changes, as YAML; before is nil for a new one. Data
// of Secrets are masked: only which keys differ can be seen.
func diff(before, after *unstructured.Unstructured) (string, error) {
	old, now := comparable(before), comparable(after)
	if after.GetKind() == "Secret" {
		maskSecret(old, now)
	}
	var texts [2]string
	for i, o := range []map[string]any{old, now} {
		if o == nil {
			continue
		}
		raw, err := yaml.Marshal(o)
		if err != nil {
			return "", diag.Wrap(diag.Internal, "show "+title(after), err)
		}
		texts[i] = string(raw)
	}
	return udiff.Unified("live", "kforge", texts[0], texts[1]), nil
}

// maskSecret replaces values in both, which may be nil.
func maskSecret(old, now map[string]any) {
	const masked = "(sensitive)"
	for _, field := range []string{"data", "stringData"} {
		before, _ := old[field].(map[string]any)
		after, _ := now[field].(map[string]any)
		was := maps.Clone(before)
		for k := range before {
			before[k] = masked
		}
		for k, v := range after {
			after[k] = masked
			if prior, ok := was[k]; ok && prior != v {
				after[k] = masked + " changed"
			}
		}
	}
	for _, o := range []map[string]any{old, now} {
		unstructured.RemoveNestedField(o, "metadata", "annotations", lastApplied)
	}
}
