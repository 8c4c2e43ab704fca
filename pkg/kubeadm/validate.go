package kubeadm

import (
	"fmt"
	"sync"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	kubeproxy "k8s.io/kube-proxy/config/v1alpha1"
	kubelet "k8s.io/kubelet/config/v1beta1"
	internal "k8s.io/kubernetes/cmd/kubeadm/app/apis/kubeadm"
	"k8s.io/kubernetes/cmd/kubeadm/app/apis/kubeadm/scheme"
	"k8s.io/kubernetes/cmd/kubeadm/app/apis/kubeadm/validation"
	kubeadmutil "k8s.io/kubernetes/cmd/kubeadm/app/util"
	"k8s.io/kubernetes/cmd/kubeadm/app/util/config/strict"

	"kforge.dev/kforge/pkg/diag"
)

// componentScheme knows the kubelet's and kube-proxy's configuration. Building
// it takes longer than a check, and a fleet has one check per host.
var componentScheme = sync.OnceValues(func() (*runtime.Scheme, error) {
	out := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{kubelet.AddToScheme, kubeproxy.AddToScheme} {
		if err := add(out); err != nil {
			return nil, err
		}
	}
	return out, nil
})

// Validate checks documents for kubeadm as kubeadm does, and refuses unknown
// fields besides. It knows nothing of versions: what an older kubeadm does not
// know must not be written.
func Validate(docs []byte) error {
	fail := func(err error) error {
		return diag.Wrap(diag.Invalid, "validate kubeadm configuration", err).
			WithHint("look for the value named above in the inventory")
	}
	byKind, err := kubeadmutil.SplitConfigDocuments(docs)
	if err != nil {
		return fail(err)
	}
	components, err := componentScheme()
	if err != nil {
		return fail(err)
	}
	var first *internal.InitConfiguration
	var cluster *internal.ClusterConfiguration
	var errs field.ErrorList
	for gvk, doc := range byKind {
		if err := strict.VerifyUnmarshalStrict([]*runtime.Scheme{scheme.Scheme, components}, gvk, doc); err != nil {
			return fail(err)
		}
		decode := func(into runtime.Object) error {
			return runtime.DecodeInto(scheme.Codecs.UniversalDecoder(), doc, into)
		}
		switch gvk.Kind {
		case "InitConfiguration":
			first = &internal.InitConfiguration{}
			err = decode(first)
		case "ClusterConfiguration":
			cluster = &internal.ClusterConfiguration{}
			err = decode(cluster)
		case "JoinConfiguration":
			join := &internal.JoinConfiguration{}
			if err = decode(join); err == nil {
				errs = append(errs, validation.ValidateJoinConfiguration(join)...)
			}
		case "UpgradeConfiguration":
			upgrade := &internal.UpgradeConfiguration{}
			if err = decode(upgrade); err == nil {
				errs = append(errs, validation.ValidateUpgradeConfiguration(upgrade)...)
			}
		}
		if err != nil {
			return fail(fmt.Errorf("read %s: %w", gvk.Kind, err))
		}
	}
	if (first == nil) != (cluster == nil) {
		return fail(fmt.Errorf("InitConfiguration and ClusterConfiguration belong together"))
	}
	if first != nil {
		first.ClusterConfiguration = *cluster
		// kubeadm makes up the secret of a token that has none; its check
		// wants it, so one of the right shape stands in here.
		for i := range first.BootstrapTokens {
			if first.BootstrapTokens[i].Token == nil {
				first.BootstrapTokens[i].Token = standIn()
			}
		}
		errs = append(errs, validation.ValidateInitConfiguration(first)...)
	}
	if err := errs.ToAggregate(); err != nil {
		return fail(err)
	}
	return nil
}
