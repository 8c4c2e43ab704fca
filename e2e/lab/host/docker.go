package host

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
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
	args := []string{
		"create", "--name", container(name), "--hostname", name, "--label", label, "--label", nameLabel + "=" + name, "--label", keysLabel + "=" + owner,
		"--network", network, "--ip", address,
		"--cap-add", "ALL", "--cap-drop", "SYS_RESOURCE",
		"--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined", "--security-opt", "systempaths=unconfined",
		"--device-cgroup-rule", "a *:* rwm", "--device", "/dev/kmsg", "--device", "/dev/fuse",
		"--cgroupns=private", "--tmpfs", "/run", "--tmpfs", "/tmp",
		// containerd's overlays cannot lie on Docker's own.
		"--volume", "/var",
		"--stop-signal", "RTMIN+3", "--env", "container=docker",
	}
	for i := range namedMachines {
		args = append(args, "--add-host", fmt.Sprintf("v%d:%s", i+1, MachineAddress(i+1)))
	}
	return append(args, image)
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

// docked is a host's container.
type docked struct {
	name string // of the host
}

func (d docked) Stream(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer, argv ...string) error {
	args := append([]string{"docker", "exec", "--interactive", container(d.name)}, argv...)
	return proc.Command{Args: args, Stdin: stdin, Stdout: stdout, Stderr: stderr}.Run(ctx)
}

func (d docked) Running(ctx context.Context) (bool, error) {
	out, err := docker(ctx, "inspect", "--format", "{{.State.Running}}", container(d.name))
	return out == "true", err
}

func (d docked) Kill(ctx context.Context) error {
	_, err := docker(ctx, "kill", container(d.name))
	return err
}

func (d docked) Start(ctx context.Context) error {
	_, err := docker(ctx, "start", container(d.name))
	return err
}

func (d docked) Reboot(ctx context.Context) error {
	_, err := docker(ctx, "restart", container(d.name))
	return err
}

// Cable keeps the host's interface and address and lets it see the carrier go, which disconnecting it from Docker's network would
// not: it would come back with another interface name.
func (d docked) Cable(ctx context.Context, state string) error {
	link, err := d.Link(ctx)
	if err != nil {
		return err
	}
	return proc.Run(ctx, "ip", "link", "set", "dev", link, state)
}

func (d docked) Link(ctx context.Context) (string, error) {
	var out bytes.Buffer
	if err := d.Stream(ctx, nil, &out, nil, "cat", "/sys/class/net/eth0/iflink"); err != nil {
		return "", err
	}
	index, err := strconv.Atoi(strings.TrimSpace(out.String()))
	if err != nil {
		return "", fmt.Errorf("reading the index of the link: %w", err)
	}
	link, err := net.InterfaceByIndex(index)
	if err != nil {
		return "", fmt.Errorf("finding the machine's end of the link: %w", err)
	}
	return link.Name, nil
}

func (d docked) Put(ctx context.Context, files []File) error {
	var archive bytes.Buffer
	if err := writeTar(&archive, files); err != nil {
		return err
	}
	return dockerIn(ctx, &archive, "cp", "-", container(d.name)+":/")
}

func (docked) OwnKernel() bool { return false }
