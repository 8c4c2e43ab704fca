package kube

import (
	"fmt"
	"os"
	"strings"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"kforge.dev/kforge/pkg/diag"
)

// AdminKubeconfig rewrites kubeadm's admin.conf for people: its cluster, user
// and context are named as the cluster, so that it merges with other clusters'
// files, and its server is the endpoint ("host:port" or an https URL).
func AdminKubeconfig(adminConf []byte, server, clusterName string) ([]byte, error) {
	const op = "write kubeconfig"
	cluster, user, err := currentContext(adminConf)
	if err != nil {
		return nil, err
	}
	if !strings.Contains(server, "://") {
		server = "https://" + server
	}
	cluster.Server = server
	out := api.NewConfig()
	out.Clusters[clusterName] = cluster
	out.AuthInfos[clusterName] = user
	out.Contexts[clusterName] = &api.Context{Cluster: clusterName, AuthInfo: clusterName}
	out.CurrentContext = clusterName
	raw, err := clientcmd.Write(*out)
	if err != nil {
		return nil, diag.Wrap(diag.Internal, op, err)
	}
	return raw, nil
}

// currentContext gives cluster and user of a kubeconfig's current context.
func currentContext(kubeconfig []byte) (*api.Cluster, *api.AuthInfo, error) {
	const op = "read kubeconfig"
	config, err := clientcmd.Load(kubeconfig)
	if err != nil {
		return nil, nil, diag.Wrap(diag.Invalid, op, err)
	}
	ctx, ok := config.Contexts[config.CurrentContext]
	if !ok {
		return nil, nil, diag.New(diag.Invalid, op, "it has no context %q", config.CurrentContext)
	}
	cluster, user := config.Clusters[ctx.Cluster], config.AuthInfos[ctx.AuthInfo]
	if cluster == nil || user == nil {
		return nil, nil, diag.New(diag.Invalid, op, "context %q lacks its cluster or user", config.CurrentContext)
	}
	return cluster, user, nil
}

// clusterInfo gives a kubeconfig with server and CA only, for a node that is
// about to join: whoever reads it gains nothing but trust in the cluster.
func clusterInfo(server string, ca []byte) ([]byte, error) {
	out := api.NewConfig()
	out.Clusters[""] = &api.Cluster{Server: server, CertificateAuthorityData: ca}
	raw, err := clientcmd.Write(*out)
	if err != nil {
		return nil, diag.Wrap(diag.Internal, "write cluster info", err)
	}
	return raw, nil
}

// ca gives the PEM of the CA that the client trusts.
func (c *Cluster) ca() ([]byte, error) {
	if len(c.config.CAData) > 0 || c.config.CAFile == "" {
		return c.config.CAData, nil
	}
	raw, err := os.ReadFile(c.config.CAFile)
	if err != nil {
		return nil, fmt.Errorf("read the cluster's CA: %w", err)
	}
	return raw, nil
}
