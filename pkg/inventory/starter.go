package inventory

import (
	"bytes"
	"cmp"
	"regexp"
	"strconv"
	"text/template"

	"go.yaml.in/yaml/v3"
)

// Starter gives a commented inventory for `kforge init`. It loads as it is
// when cluster is a DNS label and the targets come from ParseTargets; an empty
// cluster name becomes "kubernetes".
func Starter(cluster string, hosts []Target) []byte {
	var b bytes.Buffer
	err := starter.Execute(&b, map[string]any{
		"APIVersion": APIVersion, "Kind": Kind,
		"Cluster": cmp.Or(cluster, "kubernetes"), "Version": DefaultVersion, "Hosts": hosts,
		"PodCIDR": defaultPodCIDR, "ServiceCIDR": defaultServiceCIDR,
	})
	if err != nil {
		// The template and its data are ours; TestStarterLoads runs each branch.
		return nil
	}
	return b.Bytes()
}

var starter = template.Must(template.New("starter").Funcs(template.FuncMap{"text": scalarText}).Parse(
	`# The inventory of a kforge cluster. What is commented out shows the default
# or an example. See what each host ends up with: kforge inventory show --all
# For help in an editor: kforge inventory schema > kforge.schema.json
apiVersion: {{.APIVersion}}
kind: {{.Kind}}
metadata:
  name: {{text .Cluster}}
spec:
  kubernetes:
    version: {{.Version}}
    # endpoint: kube.example.com:6443   # default: the control plane's address
  # network:
  #   podCIDR: {{.PodCIDR}}       # must not overlap with the site's networks
  #   serviceCIDR: {{.ServiceCIDR}}
  # ssh:
  #   user: admin                  # root, or one that may use sudo
  #   identityFiles: [~/.ssh/id_ed25519]
  #   hostKeys: strict             # default: accept-new
  # defaults:                      # for every host
  #   reserved: {cpu: 500m, memory: 1Gi}
  # classes:                       # for every host that says class: gpu
  #   gpu:
  #     labels: {accelerator: nvidia}
  #     taints: [{key: nvidia.com/gpu, effect: NoSchedule}]
  # Without roles the first host is the control plane, the others are workers.
  hosts:
{{- range .Hosts}}
    - name: {{text .Name}}
      address: {{text .Address}}
{{- if .User}}
      user: {{text .User}}
{{- end}}
{{- if .Port}}
      port: {{.Port}}
{{- end}}
{{- end}}
`))

var bareWord = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// scalarText writes a text so that YAML reads it back as the same text: plain
// where that is safe, in double quotes where not ("1e5" is a number).
func scalarText(s string) string {
	var n yaml.Node
	if bareWord.MatchString(s) && yaml.Unmarshal([]byte(s), &n) == nil && len(n.Content) == 1 && n.Content[0].Tag == "!!str" {
		return s
	}
	return strconv.QuoteToASCII(s)
}
