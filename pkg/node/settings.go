package node

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubelet "k8s.io/kubelet/config/v1beta1"

	"kforge.dev/kforge/pkg/kubeadm/minimal"
	"kforge.dev/kforge/pkg/spec"
)

// kubeletSettings is the drop-in that the kubelet merges over kubeadm's
// config.yaml. The kubelet takes only files that end in .conf and that say
// their kind; later names win.
func kubeletSettings(in Input, resolver Resolver) ([]byte, error) {
	disk := Disk(in.Facts)
	config := &kubelet.KubeletConfiguration{
		TypeMeta: metav1.TypeMeta{
			APIVersion: kubelet.SchemeGroupVersion.String(),
			Kind:       "KubeletConfiguration",
		},
		ResolverConfig:              &resolver.Path,
		EvictionHard:                disk.EvictionHard,
		ImageGCHighThresholdPercent: &disk.ImageGCHigh,
		ImageGCLowThresholdPercent:  &disk.ImageGCLow,
		MaxPods:                     int32(in.Host.MaxPods),
	}
	reserved := map[string]string{}
	if in.Host.Reserved.CPU != "" {
		reserved["cpu"] = in.Host.Reserved.CPU
	}
	if in.Host.Reserved.Memory != "" {
		reserved["memory"] = in.Host.Reserved.Memory
	}
	if len(reserved) > 0 {
		config.SystemReserved = reserved
	}
	if in.Host.CgroupV1 && in.Facts.Kernel.Cgroup == 1 {
		config.FailCgroupV1 = spec.Bool(false)
	}
	if !in.Host.SwapOff {
		config.FailSwapOn = spec.Bool(false)
	}
	out, err := minimal.YAML(config)
	if err != nil {
		return nil, fmt.Errorf("write kubelet settings: %w", err)
	}
	return append([]byte(spec.Header+"\n"), out...), nil
}
