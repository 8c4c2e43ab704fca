package kube

import (
	"bytes"
	"fmt"
	"reflect"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"kforge.dev/kforge/pkg/diag"
)

// Access is how people reach a cluster: what a context of a kubeconfig says.
type Access struct {
	Context string // its cluster and user have the same name
	Server  string // URL
	// TLSName is the name that the server's certificate is held against, "" for
	// that of the URL: needed where the URL is the near end of a tunnel.
	TLSName string
	// Use makes it the current context; a file that has none gets it anyway.
	Use bool
}

// MergeKubeconfig puts an access with the credentials of kubeadm's admin.conf
// into a kubeconfig, which may be empty; all else in it stays. replaced tells
// what was there under the same name and said otherwise, one a line; out is
// equal to file when there is nothing to do.
func MergeKubeconfig(file, adminConf []byte, a Access) (out []byte, replaced []string, err error) {
	const op = "merge kubeconfig"
	cluster, user, err := currentContext(adminConf)
	if err != nil {
		return nil, nil, err
	}
	cluster.Server, cluster.TLSServerName = a.Server, a.TLSName
	has, err := clientcmd.Load(file)
	if err != nil {
		return nil, nil, diag.Wrap(diag.Invalid, op, err).WithHint("mend the file, or name another one")
	}
	before := has.DeepCopy()
	if old := has.Clusters[a.Context]; old != nil && !sameCluster(old, cluster) {
		replaced = append(replaced, fmt.Sprintf("cluster %s at %s", a.Context, old.Server))
	}
	if old := has.AuthInfos[a.Context]; old != nil && !sameUser(old, user) {
		replaced = append(replaced, "user "+a.Context)
	}
	if old := has.Contexts[a.Context]; old != nil && (old.Cluster != a.Context || old.AuthInfo != a.Context) {
		replaced = append(replaced, fmt.Sprintf("context %s of cluster %s and user %s", a.Context, old.Cluster, old.AuthInfo))
	}
	has.Clusters[a.Context], has.AuthInfos[a.Context] = cluster, user
	context := api.NewContext()
	if old := has.Contexts[a.Context]; old != nil {
		context.Namespace = old.Namespace
	}
	context.Cluster, context.AuthInfo = a.Context, a.Context
	has.Contexts[a.Context] = context
	if a.Use || has.CurrentContext == "" {
		has.CurrentContext = a.Context
	}
	if len(replaced) == 0 && sameContexts(before, has, a.Context) {
		return file, nil, nil
	}
	if out, err = clientcmd.Write(*has); err != nil {
		return nil, nil, diag.Wrap(diag.Internal, op, err)
	}
	return out, replaced, nil
}

func sameCluster(a, b *api.Cluster) bool {
	return a.Server == b.Server && a.TLSServerName == b.TLSServerName && a.InsecureSkipTLSVerify == b.InsecureSkipTLSVerify &&
		a.ProxyURL == b.ProxyURL && a.CertificateAuthority == b.CertificateAuthority && bytes.Equal(a.CertificateAuthorityData, b.CertificateAuthorityData)
}

func sameUser(a, b *api.AuthInfo) bool {
	a, b = a.DeepCopy(), b.DeepCopy()
	a.LocationOfOrigin, b.LocationOfOrigin, a.Extensions, b.Extensions = "", "", nil, nil
	return reflect.DeepEqual(a, b)
}

// sameContexts tells whether all three parts were there, and the current
// context is what it was.
func sameContexts(before, after *api.Config, name string) bool {
	return before.Clusters[name] != nil && before.AuthInfos[name] != nil && before.Contexts[name] != nil && before.CurrentContext == after.CurrentContext
}
