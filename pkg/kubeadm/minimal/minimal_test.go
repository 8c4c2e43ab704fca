package minimal_test

import (
	"testing"

	"kforge.dev/kforge/pkg/kubeadm/minimal"
)

type inner struct {
	Text  string `json:"text"`
	Count int    `json:"count"`
}

type outer struct {
	Name   string            `json:"name"`
	Flag   *bool             `json:"flag"`
	Number *int              `json:"number"`
	List   []string          `json:"list"`
	Items  []inner           `json:"items"`
	In     inner             `json:"in"`
	Ptr    *inner            `json:"ptr"`
	Map    map[string]string `json:"map"`
}

func TestYAML(t *testing.T) {
	t.Parallel()
	no, zero := false, 0
	tests := []struct {
		name string
		in   outer
		want string
	}{
		{"nothing", outer{}, "{}\n"},
		{"pointers to zero values stay", outer{Flag: &no, Number: &zero}, "flag: false\nnumber: 0\n"},
		{"an empty list is not no list", outer{List: []string{}}, "list: []\n"},
		{"zero fields of a set struct go", outer{In: inner{Count: 2}}, "in:\n  count: 2\n"},
		{"items of lists stay whole", outer{Items: []inner{{Text: "a"}}}, "items:\n- count: 0\n  text: a\n"},
		{"map", outer{Map: map[string]string{"a": ""}}, "map:\n  a: \"\"\n"},
	}
	for _, tt := range tests {
		got, err := minimal.YAML(&tt.in)
		if err != nil || string(got) != tt.want {
			t.Errorf("%s: %q, %v; want %q", tt.name, got, err, tt.want)
		}
	}
	for _, bad := range []any{nil, outer{}, new(int)} {
		if _, err := minimal.YAML(bad); err == nil {
			t.Errorf("%T is accepted", bad)
		}
	}
}
