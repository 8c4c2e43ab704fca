package node

import "kforge.dev/kforge/pkg/spec"

// Containerd gives the container runtime: binaries, configuration, unit.
func Containerd(in Input) ([]spec.Resource, error) {
	config, err := render("config.toml", map[string]any{
		"PauseImage":          in.PauseImage,
		"RestrictOOMScoreAdj": !in.Facts.Kernel.OOMScoreAdjLowerable,
	})
	if err != nil {
		return nil, err
	}
	unit, err := render("containerd.service", map[string]any{
		"OOMScoreAdjust": in.Facts.Kernel.OOMScoreAdjLowerable,
	})
	if err != nil {
		return nil, err
	}
	crictl, err := render("crictl.yaml", nil)
	if err != nil {
		return nil, err
	}
	// A crictl.yaml found is somebody's convenience, not a sign that the host
	// is theirs: it is kept beside ours.
	tool := file("/etc/crictl.yaml", 0o644, crictl, "crictl asks containerd")
	tool.File.Takeover = true

	return []spec.Resource{
		{
			ID: "archive containerd", Why: "containerd " + in.Containerd.Version,
			Archive: &spec.Archive{
				Blob: in.Containerd.Blob, Dest: "/usr/local",
				Only: []string{"bin/containerd", "bin/containerd-shim-runc-v2", "bin/ctr"},
			},
		},
		binary(RuncBinary, in.Runc, "runc "+in.Runc.Version),
		{
			ID: "archive cni-plugins", Why: "CNI plugins " + in.CNIPlugins.Version,
			Archive: &spec.Archive{Blob: in.CNIPlugins.Blob, Dest: "/opt/cni/bin"},
		},
		directory(ContainerdDropIns, 0o755, "settings of others and of your own go here"),
		directory("/etc/containerd/certs.d", 0o755, "registries' mirrors and certificates go here"),
		file(ContainerdConfig, 0o644, config, "systemd cgroups, pinned pause image, drop-ins"),
		file(ContainerdUnit, 0o644, unit, "containerd runs under systemd"),
		tool,
		{
			ID: "unit containerd.service", Why: "the kubelet needs it",
			Unit: &spec.Unit{
				Name: "containerd.service", Enabled: spec.Bool(true), State: "running",
				RestartOn:      []string{ContainerdBinary, ContainerdConfig, ContainerdDropIns, ContainerdUnit},
				TimeoutSeconds: in.timeout(90),
			},
		},
	}, nil
}
