package kubeadm

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubelet "k8s.io/kubelet/config/v1beta1"
	bootstraptoken "k8s.io/kubernetes/cmd/kubeadm/app/apis/bootstraptoken/v1"
	kubeadm "k8s.io/kubernetes/cmd/kubeadm/app/apis/kubeadm/v1beta4"

	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/kubeadm/minimal"
	"kforge.dev/kforge/pkg/node"
	"kforge.dev/kforge/pkg/spec"
)

func kind(name string) metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: kubeadm.SchemeGroupVersion.String(), Kind: name}
}

// InitConfig gives the YAML documents of `kubeadm init`, validated.
func InitConfig(in Input) ([]byte, error) {
	cluster, err := clusterConfig(in)
	if err != nil {
		return nil, err
	}
	doc, err := documents(
		&kubeadm.InitConfiguration{
			TypeMeta: kind("InitConfiguration"),
			// kubeadm makes a token for a day when it is told of none. Nobody
			// joins by this one: each run that joins makes its own.
			BootstrapTokens: []bootstraptoken.BootstrapToken{{
				Description: "made by kubeadm init, not used by kforge",
				TTL:         &metav1.Duration{Duration: time.Minute},
			}},
			LocalAPIEndpoint: kubeadm.APIEndpoint{AdvertiseAddress: in.NodeIP, BindPort: in.bindPort()},
			NodeRegistration: registration(in),
			Timeouts:         timeouts(in.Host.TimeoutScale),
		},
		cluster,
		&kubelet.KubeletConfiguration{
			TypeMeta: metav1.TypeMeta{
				APIVersion: kubelet.SchemeGroupVersion.String(), Kind: "KubeletConfiguration",
			},
			// What differs between hosts is in each host's drop-in.
			CgroupDriver: "systemd",
		},
		ProxyConfig(in.Fleet),
	)
	if err != nil {
		return nil, err
	}
	return doc, Validate(doc)
}

// ClusterInfoInput names the input of kubeadm join that tells where the cluster
// is and by which CA it is known.
const ClusterInfoInput = "cluster-info"

// JoinConfig gives the YAML document of a node's `kubeadm join`, validated. The
// token is named as a value of the run, the cluster's whereabouts as another
// input. Discovery is by that file and not by token: the signature that the
// latter wants comes seconds after kubeadm init, and kubeadm asks for it every
// 5 s only.
func JoinConfig(in Input) ([]byte, error) {
	render := func(token, file, key string) ([]byte, error) {
		join := &kubeadm.JoinConfiguration{
			TypeMeta:         kind("JoinConfiguration"),
			NodeRegistration: registration(in),
			Discovery: kubeadm.Discovery{
				File:              &kubeadm.FileDiscovery{KubeConfigPath: file},
				TLSBootstrapToken: token,
			},
			Timeouts: timeouts(in.Host.TimeoutScale),
		}
		if in.Host.ControlPlane() {
			join.ControlPlane = &kubeadm.JoinControlPlane{
				LocalAPIEndpoint: kubeadm.APIEndpoint{AdvertiseAddress: in.NodeIP, BindPort: in.bindPort()},
				CertificateKey:   key,
			}
			if in.Cluster.EndpointMode == inventory.EndpointLocal {
				// It asks the API through the endpoint before the kubelet starts, and
				// with it the load balancer. That etcd is healthy is seen to before.
				join.SkipPhases = []string{"check-etcd"}
			}
		}
		return documents(join)
	}
	// Token and path are known only when the step runs, so the check is made
	// with others of the same shape: of a path kubeadm wants that it is there,
	// of a URL only its form.
	dummy, err := render("abcdef.0123456789abcdef", "https://127.0.0.1/cluster-info", standInKey)
	if err != nil {
		return nil, err
	}
	if err := Validate(dummy); err != nil {
		return nil, err
	}
	return render(spec.ValueRef(spec.ValueJoinToken), "@{"+ClusterInfoInput+"}", spec.ValueRef(spec.ValueCertificateKey))
}

// standInKey has the form of a certificate key, for checks.
var standInKey = strings.Repeat("0", 64)

// UploadConfig gives the YAML documents of `kubeadm init phase upload-certs`,
// validated. The certificate key is named as a value of the run.
func UploadConfig(in Input) ([]byte, error) {
	cluster, err := clusterConfig(in)
	if err != nil {
		return nil, err
	}
	render := func(key string) ([]byte, error) {
		return documents(&kubeadm.InitConfiguration{
			TypeMeta:         kind("InitConfiguration"),
			LocalAPIEndpoint: kubeadm.APIEndpoint{AdvertiseAddress: in.NodeIP, BindPort: in.bindPort()},
			NodeRegistration: registration(in),
			CertificateKey:   key,
		}, cluster)
	}
	dummy, err := render(standInKey)
	if err != nil {
		return nil, err
	}
	if err := Validate(dummy); err != nil {
		return nil, err
	}
	return render(spec.ValueRef(spec.ValueCertificateKey))
}

func clusterConfig(in Input) (*kubeadm.ClusterConfiguration, error) {
	repository, _, err := in.imageOf("kube-apiserver")
	if err != nil {
		return nil, err
	}
	etcdRepository, etcdTag, err := in.imageOf("etcd")
	if err != nil {
		return nil, err
	}
	dnsRepository, dnsTag, err := in.imageOf("coredns")
	if err != nil {
		return nil, err
	}
	if etcdRepository == repository {
		etcdRepository = "" // kubeadm's default
	}
	out := &kubeadm.ClusterConfiguration{
		TypeMeta:             kind("ClusterConfiguration"),
		ClusterName:          in.Cluster.Name,
		KubernetesVersion:    in.Cluster.Version,
		ControlPlaneEndpoint: in.APIServer,
		ImageRepository:      repository,
		APIServer:            kubeadm.APIServer{CertSANs: in.CertSANs()},
		DNS:                  kubeadm.DNS{ImageMeta: kubeadm.ImageMeta{ImageRepository: dnsRepository, ImageTag: dnsTag}},
		Etcd: kubeadm.Etcd{Local: &kubeadm.LocalEtcd{
			ImageMeta: kubeadm.ImageMeta{ImageRepository: etcdRepository, ImageTag: etcdTag},
			DataDir:   "/var/lib/etcd",
		}},
		Networking: kubeadm.Networking{
			PodSubnet:     in.Cluster.PodCIDR,
			ServiceSubnet: in.Cluster.ServiceCIDR,
			DNSDomain:     in.Cluster.DNSDomain,
		},
	}
	if c := in.Cluster.Certificates; c.Validity > 0 {
		out.CertificateValidityPeriod = &metav1.Duration{Duration: time.Duration(c.Validity)}
		out.CACertificateValidityPeriod = &metav1.Duration{Duration: time.Duration(c.CAValidity)}
	}
	return out, nil
}

// RenewConfig gives the YAML documents by which kubeadm makes a control plane's
// certificates anew, validated.
func RenewConfig(in Input) ([]byte, error) {
	cluster, err := clusterConfig(in)
	if err != nil {
		return nil, err
	}
	doc, err := documents(&kubeadm.InitConfiguration{
		TypeMeta:         kind("InitConfiguration"),
		LocalAPIEndpoint: kubeadm.APIEndpoint{AdvertiseAddress: in.NodeIP, BindPort: in.bindPort()},
		NodeRegistration: registration(in),
	}, cluster)
	if err != nil {
		return nil, err
	}
	return doc, Validate(doc)
}

func registration(in Input) kubeadm.NodeRegistrationOptions {
	return kubeadm.NodeRegistrationOptions{
		Name:                  in.Host.Name,
		CRISocket:             node.CRISocket,
		Taints:                taints(in.Host),
		KubeletExtraArgs:      []kubeadm.Arg{{Name: "node-ip", Value: in.NodeIP}},
		IgnorePreflightErrors: Ignored(in),
		// Every image was imported before; a pull could only fail or bring
		// something else.
		ImagePullPolicy: corev1.PullNever,
	}
}

// taints of a node: nil lets kubeadm choose (its own taint on a control plane,
// none on a worker), an empty list means none.
func taints(h inventory.ResolvedHost) []corev1.Taint {
	var out []corev1.Taint
	switch {
	case h.ControlPlane() && h.Worker():
		out = []corev1.Taint{}
	case h.ControlPlane() && len(h.Taints) > 0:
		out = []corev1.Taint{{Key: "node-role.kubernetes.io/control-plane", Effect: corev1.TaintEffectNoSchedule}}
	}
	for _, t := range h.Taints {
		out = append(out, corev1.Taint{Key: t.Key, Value: t.Value, Effect: corev1.TaintEffect(t.Effect)})
	}
	return out
}

// timeouts stretches kubeadm's own waits for slow machines.
func timeouts(scale float64) *kubeadm.Timeouts {
	if scale <= 1 {
		return nil
	}
	times := func(d time.Duration) *metav1.Duration {
		return &metav1.Duration{Duration: time.Duration(float64(d) * scale).Round(time.Second)}
	}
	return &kubeadm.Timeouts{
		ControlPlaneComponentHealthCheck: times(4 * time.Minute),
		KubeletHealthCheck:               times(4 * time.Minute),
		KubernetesAPICall:                times(time.Minute),
		EtcdAPICall:                      times(2 * time.Minute),
		TLSBootstrap:                     times(5 * time.Minute),
		Discovery:                        times(5 * time.Minute),
	}
}

func documents(objects ...any) ([]byte, error) {
	var out bytes.Buffer
	for i, object := range objects {
		if i > 0 {
			out.WriteString("---\n")
		}
		doc, err := minimal.YAML(object)
		if err != nil {
			return nil, fmt.Errorf("write kubeadm configuration: %w", err)
		}
		out.Write(doc)
	}
	return out.Bytes(), nil
}
