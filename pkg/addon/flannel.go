// Package addon says what a cluster holds beside Kubernetes itself, as objects
// in the order in which they are applied. It acts on nothing.
package addon

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/node"
	"kforge.dev/kforge/pkg/spec"
	"kforge.dev/kforge/templates"
)

// Names of flannel's objects that others wait for.
const (
	FlannelNamespace = "kube-flannel"
	FlannelDaemonSet = "kube-flannel-ds"
)

// vxlanHeader is what the overlay takes from each packet, in bytes.
const vxlanHeader = 50

// FlannelInput is what flannel's objects follow from.
type FlannelInput struct {
	PodCIDR string
	Backend string // vxlan (or empty) or host-gw
	// MTU of the pod network in bytes, 0 leaves it to flannel on each host.
	MTU int
	// NFTables goes with kube-proxy in the same mode.
	NFTables              bool
	Image, CNIPluginImage string
}

// Flannel gives the objects of the pod network.
func Flannel(in FlannelInput) ([]spec.Object, error) {
	backend := map[string]any{"Type": "vxlan"}
	delegate := map[string]any{"hairpinMode": true, "isDefaultGateway": true}
	switch in.Backend {
	case "", "vxlan":
		if in.MTU > 0 {
			// flannel means the outer network here and takes off the header.
			backend["MTU"] = in.MTU + vxlanHeader
		}
	case "host-gw":
		backend["Type"] = "host-gw"
		if in.MTU > 0 {
			delegate["mtu"] = in.MTU
		}
	default:
		return nil, fmt.Errorf("write flannel's objects: unknown backend %q", in.Backend)
	}
	netConf, err := indented(map[string]any{
		"Network": in.PodCIDR, "EnableNFTables": in.NFTables, "Backend": backend,
	})
	if err != nil {
		return nil, err
	}
	cniConf, err := indented(map[string]any{
		"name": "cbr0", "cniVersion": "0.3.1",
		"plugins": []any{
			map[string]any{"type": "flannel", "delegate": delegate},
			map[string]any{"type": "portmap", "capabilities": map[string]any{"portMappings": true}},
		},
	})
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(cniConf + "\n" + netConf))
	manifest, err := templates.Render("addon/flannel.yaml.tmpl", map[string]any{
		"NetConf": netConf, "CNIConf": cniConf, "ConfigDigest": hex.EncodeToString(sum[:8]),
		"Image": in.Image, "CNIPluginImage": in.CNIPluginImage,
	})
	if err != nil {
		return nil, err
	}
	var out []spec.Object
	for _, doc := range bytes.Split(manifest, []byte("\n---\n")) {
		out = append(out, spec.Object{Manifest: append(bytes.TrimSpace(doc), '\n'), Why: "pod network"})
	}
	return out, nil
}

func indented(v any) (string, error) {
	out, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return "", fmt.Errorf("write flannel's configuration: %w", err)
	}
	return string(out), nil
}

// PodMTU is the MTU of the pod network: the inventory's, else the smallest of
// the nodes' interfaces less the overlay's header. A packet that one host's
// pods may send must fit through every other host. 0 means that no interface
// is known.
func PodMTU(c *inventory.Cluster, fleet map[string]*facts.Host) int {
	if c.CNI.MTU > 0 {
		return c.CNI.MTU
	}
	smallest := 0
	for _, h := range c.Hosts {
		f := fleet[h.Name]
		if f == nil {
			continue
		}
		mtu := node.FindAddress(h, f).Interface.MTU
		if mtu > 0 && (smallest == 0 || mtu < smallest) {
			smallest = mtu
		}
	}
	if smallest > vxlanHeader && c.CNI.Backend != "host-gw" {
		smallest -= vxlanHeader
	}
	return smallest
}
