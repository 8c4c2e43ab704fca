// Package certs tells which certificates hosts of a cluster hold, and reads from
// their files when they end. It acts on nothing, and keeps no keys.
package certs

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"time"

	"sigs.k8s.io/yaml"

	"kforge.dev/kforge/pkg/diag"
)

// File is one that holds a certificate.
type File struct {
	Name string // what kubeadm calls it
	Path string
	CA   bool
}

const pki = "/etc/kubernetes/pki/"

// Kubelet is every node's own, which the kubelet renews by itself. The kubelet
// writes certificate and key into the one file.
var Kubelet = File{Name: "kubelet", Path: "/var/lib/kubelet/pki/kubelet-client-current.pem"}

// Of gives the files of a node.
func Of(controlPlane bool) []File {
	if !controlPlane {
		return []File{Kubelet}
	}
	return []File{
		{Name: "ca", Path: pki + "ca.crt", CA: true},
		{Name: "apiserver", Path: pki + "apiserver.crt"},
		{Name: "apiserver-kubelet-client", Path: pki + "apiserver-kubelet-client.crt"},
		{Name: "apiserver-etcd-client", Path: pki + "apiserver-etcd-client.crt"},
		{Name: "front-proxy-ca", Path: pki + "front-proxy-ca.crt", CA: true},
		{Name: "front-proxy-client", Path: pki + "front-proxy-client.crt"},
		{Name: "etcd-ca", Path: pki + "etcd/ca.crt", CA: true},
		{Name: "etcd-server", Path: pki + "etcd/server.crt"},
		{Name: "etcd-peer", Path: pki + "etcd/peer.crt"},
		{Name: "etcd-healthcheck-client", Path: pki + "etcd/healthcheck-client.crt"},
		{Name: "admin.conf", Path: "/etc/kubernetes/admin.conf"},
		{Name: "controller-manager.conf", Path: "/etc/kubernetes/controller-manager.conf"},
		{Name: "scheduler.conf", Path: "/etc/kubernetes/scheduler.conf"},
		Kubelet,
	}
}

// End gives the moment at which the first certificate of a file ends to be valid.
// The file is PEM, or a kubeconfig that has its client's certificate in it.
func End(content []byte) (time.Time, error) {
	const op = "read certificate"
	if !bytes.Contains(content, []byte("-----BEGIN ")) {
		var conf struct {
			Users []struct {
				User struct {
					Certificate []byte `json:"client-certificate-data"`
				} `json:"user"`
			} `json:"users"`
		}
		if err := yaml.Unmarshal(content, &conf); err != nil {
			return time.Time{}, diag.New(diag.Invalid, op, "it is neither PEM nor a kubeconfig")
		}
		if len(conf.Users) == 0 || len(conf.Users[0].User.Certificate) == 0 {
			return time.Time{}, diag.New(diag.NotFound, op, "the kubeconfig has none in it")
		}
		content = conf.Users[0].User.Certificate
	}
	for {
		var block *pem.Block
		if block, content = pem.Decode(content); block == nil {
			return time.Time{}, diag.New(diag.NotFound, op, "there is none in the file")
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return time.Time{}, diag.Wrap(diag.Invalid, op, err)
		}
		return c.NotAfter.UTC(), nil
	}
}
