package host

import (
	"bytes"
	"context"
	"io"
	"strings"

	"kforge.dev/kforge/e2e/lab/proc"
)

// docker runs the docker client and returns its trimmed stdout.
func docker(ctx context.Context, args ...string) (string, error) {
	return proc.Output(ctx, append([]string{"docker"}, args...)...)
}

// dockerIn runs the docker client with stdin.
func dockerIn(ctx context.Context, stdin io.Reader, args ...string) error {
	return proc.Command{Args: append([]string{"docker"}, args...), Stdin: stdin}.Run(ctx)
}

// dockerLines runs the docker client and splits its output.
func dockerLines(ctx context.Context, args ...string) ([]string, error) {
	out, err := docker(ctx, args...)
	if err != nil || out == "" {
		return nil, err
	}
	return strings.Split(out, "\n"), nil
}

// createArgs are the arguments that make a container a host. Not --privileged: that fails where root itself lacks
// CAP_SYS_RESOURCE, and such a host without it is a real case (unprivileged LXC).
func createArgs(name, address, image, owner string) []string {
	return []string{
		"create", "--name", container(name), "--hostname", name, "--label", label, "--label", nameLabel + "=" + name, "--label", keysLabel + "=" + owner,
		"--network", network, "--ip", address,
		"--cap-add", "ALL", "--cap-drop", "SYS_RESOURCE",
		"--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined", "--security-opt", "systempaths=unconfined",
		"--device-cgroup-rule", "a *:* rwm", "--device", "/dev/kmsg", "--device", "/dev/fuse",
		"--cgroupns=private", "--tmpfs", "/run", "--tmpfs", "/tmp",
		// containerd's overlays cannot lie on Docker's own.
		"--volume", "/var",
		"--stop-signal", "RTMIN+3", "--env", "container=docker",
		image,
	}
}

// ensureImage imports the root file system as a Docker image named by its content, once.
func ensureImage(ctx context.Context, rootTar, key string) (string, error) {
	name := "kforge-lab-host:" + key
	if _, err := docker(ctx, "image", "inspect", "--format", "{{.Id}}", name); err == nil {
		return name, nil
	}
	_, err := docker(ctx, "import", "--change", "LABEL "+label, "--change", `ENTRYPOINT ["/usr/local/sbin/host-init"]`, rootTar, name)
	return name, err
}

func ensureNetwork(ctx context.Context) error {
	if _, err := docker(ctx, "network", "inspect", "--format", "{{.Id}}", network); err == nil {
		return nil
	}
	_, err := docker(ctx, "network", "create", "--label", label, "--subnet", subnet, "--gateway", Gateway,
		"--opt", "com.docker.network.bridge.name="+network, network)
	return err
}

// put writes files into a container that need not run. Paths are absolute.
func put(ctx context.Context, name string, files []file) error {
	var archive bytes.Buffer
	if err := writeTar(&archive, files); err != nil {
		return err
	}
	return dockerIn(ctx, &archive, "cp", "-", container(name)+":/")
}
