package kube

import (
	"bytes"
	"errors"
	"io"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// ObjectNames gives what a manifest holds as a person names it, without asking
// an API: "DaemonSet kube-flannel/kube-flannel-ds". What cannot be read is left
// out; applying it tells why.
func ObjectNames(manifest []byte) []string {
	var names []string
	docs := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(manifest), 4096)
	for {
		var o metav1.PartialObjectMetadata
		err := docs.Decode(&o)
		if errors.Is(err, io.EOF) || err != nil {
			return names
		}
		if o.Kind != "" {
			names = append(names, o.Kind+" "+strings.TrimPrefix(o.Namespace+"/"+o.Name, "/"))
		}
	}
}
