// Package minimal writes typed configuration objects as YAML that holds only
// what was set. Kubernetes' configuration types print dozens of zero values,
// which would hide the few that matter and override a component's own defaults.
package minimal

import (
	"encoding/json"
	"fmt"
	"reflect"

	"sigs.k8s.io/yaml"
)

// YAML marshals v, a pointer to a struct, and leaves out every field that a
// zero value of the same type prints alike. A pointer to a zero value (false,
// 0) and an empty list are not like nothing: they stay.
func YAML(v any) ([]byte, error) {
	t := reflect.TypeOf(v)
	if t == nil || t.Kind() != reflect.Pointer || t.Elem().Kind() != reflect.Struct {
		return nil, fmt.Errorf("marshal configuration: %T is not a pointer to a struct", v)
	}
	set, err := tree(v)
	if err != nil {
		return nil, err
	}
	zero, err := tree(reflect.New(t.Elem()).Interface())
	if err != nil {
		return nil, err
	}
	out, err := yaml.Marshal(without(set, zero))
	if err != nil {
		return nil, fmt.Errorf("marshal %T: %w", v, err)
	}
	return out, nil
}

func tree(v any) (map[string]any, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("marshal %T: %w", v, err)
	}
	var out map[string]any
	if err := json.Unmarshal(data, &out); err != nil {
		return nil, fmt.Errorf("read back %T: %w", v, err)
	}
	return out, nil
}

// without drops from set what is the same in zero, nulls, and maps that are
// empty after that. Items of lists lose their nulls only.
func without(set, zero map[string]any) map[string]any {
	out := map[string]any{}
	for key, value := range set {
		other, both := zero[key]
		if both && reflect.DeepEqual(value, other) {
			continue
		}
		switch value := value.(type) {
		case nil:
		case map[string]any:
			inner, _ := other.(map[string]any)
			if kept := without(value, inner); len(kept) > 0 {
				out[key] = kept
			}
		case []any:
			for i, item := range value {
				if m, ok := item.(map[string]any); ok {
					value[i] = without(m, nil)
				}
			}
			out[key] = value
		default:
			out[key] = value
		}
	}
	return out
}
