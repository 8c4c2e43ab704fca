// Package certs knows the certificates of a cluster's hosts: which files hold
// them, who signs them and who serves them. It reads them, and judges what it has
// read. It acts on nothing, and keeps no keys.
package certs

// File is one that holds a certificate.
type File struct {
	Name   string // what kubeadm calls it
	Path   string
	CA     bool
	Signer string // name of the CA that issues it; "" for a CA
}

const (
	pki = "/etc/kubernetes/pki/"
	// KubeletConf is the kubelet's kubeconfig, which names the file of its
	// certificate.
	KubeletConf = "/etc/kubernetes/kubelet.conf"
)

// Kubelet is every node's own, which the kubelet renews by itself. The kubelet
// writes certificate and key into the one file.
var Kubelet = File{Name: "kubelet", Path: "/var/lib/kubelet/pki/kubelet-client-current.pem", Signer: "ca"}

// Of gives the files of a node.
func Of(controlPlane bool) []File {
	if !controlPlane {
		return []File{Kubelet}
	}
	return []File{
		{Name: "ca", Path: pki + "ca.crt", CA: true},
		{Name: "apiserver", Path: pki + "apiserver.crt", Signer: "ca"},
		{Name: "apiserver-kubelet-client", Path: pki + "apiserver-kubelet-client.crt", Signer: "ca"},
		{Name: "apiserver-etcd-client", Path: pki + "apiserver-etcd-client.crt", Signer: "etcd-ca"},
		{Name: "front-proxy-ca", Path: pki + "front-proxy-ca.crt", CA: true},
		{Name: "front-proxy-client", Path: pki + "front-proxy-client.crt", Signer: "front-proxy-ca"},
		{Name: "etcd-ca", Path: pki + "etcd/ca.crt", CA: true},
		{Name: "etcd-server", Path: pki + "etcd/server.crt", Signer: "etcd-ca"},
		{Name: "etcd-peer", Path: pki + "etcd/peer.crt", Signer: "etcd-ca"},
		{Name: "etcd-healthcheck-client", Path: pki + "etcd/healthcheck-client.crt", Signer: "etcd-ca"},
		{Name: "admin.conf", Path: "/etc/kubernetes/admin.conf", Signer: "ca"},
		{Name: "controller-manager.conf", Path: "/etc/kubernetes/controller-manager.conf", Signer: "ca"},
		{Name: "scheduler.conf", Path: "/etc/kubernetes/scheduler.conf", Signer: "ca"},
		Kubelet,
	}
}

// Endpoint is where a host serves a certificate.
type Endpoint struct {
	Name    string
	Address string // host:port as the host itself dials it
	// File is the name of the file that it serves; "" where the program makes its
	// certificate itself.
	File string
}

// Endpoints of a node. Ports are those of Kubernetes.
func Endpoints(controlPlane bool) []Endpoint {
	out := []Endpoint{{Name: "kubelet", Address: "127.0.0.1:10250"}}
	if controlPlane {
		out = append([]Endpoint{
			{Name: "kube-apiserver", Address: "127.0.0.1:6443", File: "apiserver"},
			{Name: "etcd", Address: "127.0.0.1:2379", File: "etcd-server"},
			{Name: "kube-controller-manager", Address: "127.0.0.1:10257"},
			{Name: "kube-scheduler", Address: "127.0.0.1:10259"},
		}, out...)
	}
	return out
}
