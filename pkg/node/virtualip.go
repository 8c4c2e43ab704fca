package node

import (
	"net"
	"net/netip"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/spec"
)

// VirtualIPManifest is the static pod of kube-vip on a control plane. It is not
// called kube-vip.yaml: a site may have one of its own by that name.
const VirtualIPManifest = "/etc/kubernetes/manifests/kforge-vip.yaml"

// VirtualIP gives a control plane's part in the API's virtual address: a static
// pod of kube-vip, which holds a lease with the others and puts the address on
// the interface that has the node's own. On the host that is about to run kubeadm
// init, first, it uses super-admin.conf: admin.conf may do nothing until kubeadm
// has bound its group to a role, and for that kubeadm goes by the address
// (kube-vip issue 684). Once the cluster is there it is to be called again
// without first: super-admin.conf goes past RBAC, and no pod shall keep it.
func VirtualIP(in Input, image string, first bool) ([]spec.Resource, error) {
	address, port, err := net.SplitHostPort(in.Cluster.Endpoint)
	if err != nil {
		return nil, diag.Wrap(diag.Invalid, "plan the virtual address", err).On(in.Host.Name)
	}
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return nil, diag.Wrap(diag.Invalid, "plan the virtual address", err).On(in.Host.Name)
	}
	own := FindAddress(in.Host, in.Facts)
	if !own.Found {
		return nil, diag.New(diag.Unsupported, "plan the virtual address", "no interface has the node's address").On(in.Host.Name).
			WithHint("write nodeIP for the host into the inventory, or choose another endpointMode")
	}
	values := map[string]any{
		"Image": image, "Address": address, "Port": port, "Bits": ip.BitLen(), "Interface": own.Interface.Name,
		"Kubeconfig": "/etc/kubernetes/admin.conf", "UID": "",
	}
	if first {
		values["Kubeconfig"] = "/etc/kubernetes/super-admin.conf"
	}
	manifest, err := render("kforge-vip.yaml", values)
	if err != nil {
		return nil, err
	}
	values["UID"] = uid(in.Host.Name, manifest)
	if manifest, err = render("kforge-vip.yaml", values); err != nil {
		return nil, err
	}
	return []spec.Resource{file(VirtualIPManifest, 0o600, manifest, "control planes pass the API's address on")}, nil
}

// NoVirtualIP takes away what VirtualIP made.
func NoVirtualIP() []spec.Resource {
	manifest := file(VirtualIPManifest, 0o600, nil, "nodes reach the API in another way")
	manifest.File.Absent = true
	return []spec.Resource{manifest}
}
