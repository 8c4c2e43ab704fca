package host

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"kforge.dev/kforge/e2e/lab/proc"
)

// Host is one host of the lab.
type Host struct {
	Name    string // n1, also its host name
	Address string // IPv4
	lab     *Lab
	machine Machine
}

// Machine is what a host is made of, handled from outside of it.
type Machine interface {
	// Stream runs argv as root with the given streams, any of which may be nil, around the host's sshd.
	Stream(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer, argv ...string) error
	Running(ctx context.Context) (bool, error)
	Kill(ctx context.Context) error   // cuts the power
	Start(ctx context.Context) error  // powers on, and does not wait for the system
	Reboot(ctx context.Context) error // returns when the system that ran is gone
	// Cable sets the other end of the host's network link "up" or "down".
	Cable(ctx context.Context, state string) error
	// Link is the name of that end, an interface of this machine.
	Link(ctx context.Context) (string, error)
	Put(ctx context.Context, files []File) error
	// OwnKernel tells whether the host has a clock, swap, modules and disks of its own.
	OwnKernel() bool
}

// New is a host made of m.
func New(l *Lab, name, address string, m Machine) *Host {
	return &Host{Name: name, Address: address, lab: l, machine: m}
}

// Exec runs argv as root on the host and returns its stdout. It goes around SSH, so that it works on a host whose sshd does not.
func (h *Host) Exec(ctx context.Context, argv ...string) (string, error) {
	var out bytes.Buffer
	err := h.Stream(ctx, nil, &out, nil, argv...)
	return out.String(), err
}

// Stream runs argv as root on the host with the given streams, any of which may be nil.
func (h *Host) Stream(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer, argv ...string) error {
	return h.machine.Stream(ctx, stdin, stdout, stderr, argv...)
}

// script runs a shell script as root on the host.
func (h *Host) script(ctx context.Context, text string) error {
	_, err := h.Exec(ctx, "sh", "-euc", text)
	return err
}

// Running tells whether the host is up.
func (h *Host) Running(ctx context.Context) (bool, error) {
	return h.machine.Running(ctx)
}

// Kill cuts the host's power.
func (h *Host) Kill(ctx context.Context) error {
	return h.machine.Kill(ctx)
}

// Start powers a host on and waits until it answers over SSH.
func (h *Host) Start(ctx context.Context) error {
	if err := h.machine.Start(ctx); err != nil {
		return err
	}
	return h.WaitSSH(ctx, bootTime)
}

// Reboot shuts the system down, starts it again and waits until it answers over SSH.
func (h *Host) Reboot(ctx context.Context) error {
	if err := h.machine.Reboot(ctx); err != nil {
		return fmt.Errorf("rebooting %s: %w", h.Name, err)
	}
	return h.WaitSSH(ctx, bootTime)
}

// Reset replaces the host by a bare one of the same name, address and host key.
func (h *Host) Reset(ctx context.Context, root Root) error { return h.lab.Reset(ctx, root, h.Name) }

// ensure makes the host if it is not there, and starts it if it does not run.
func (h *Host) ensure(ctx context.Context, image string) error {
	hostKey, login, err := h.keys()
	if err != nil {
		return err
	}
	owner := keysDigest(hostKey, login)
	found, err := docker(ctx, "ps", "--all", "--filter", "name=^"+container(h.Name)+"$", "--format", `{{.State}} {{.Label "`+keysLabel+`"}}`)
	if err != nil {
		return err
	}
	state, by, _ := strings.Cut(found, " ")
	if state != "" && by != owner {
		// It was made with keys that this lab does not have: a checkout that is gone.
		if err := h.remove(ctx); err != nil {
			return err
		}
		state = ""
	}
	switch state {
	case "running":
		return nil
	case "":
		if _, err := docker(ctx, createArgs(h.Name, h.Address, image, owner)...); err != nil {
			return err
		}
		if err := h.machine.Put(ctx, identity(hostKey, login)); err != nil {
			return errors.Join(err, h.remove(context.WithoutCancel(ctx)))
		}
	}
	_, err = docker(ctx, "start", container(h.Name))
	return err
}

// keys are the host's own key and the one that logs in to it.
func (h *Host) keys() (hostKey, login keyPair, err error) {
	if hostKey, err = ensureKey(h.lab.hostKeyFile(h.Name), h.Name); err != nil {
		return hostKey, login, err
	}
	login, err = ensureKey(h.lab.KeyFile(), "kforge-lab")
	return hostKey, login, err
}

// keysDigest tells hosts of one lab from those of another.
func keysDigest(keys ...keyPair) string {
	h := sha256.New()
	for _, k := range keys {
		h.Write(k.Public)
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}

func (h *Host) remove(ctx context.Context) error {
	_, err := docker(ctx, "rm", "--force", "--volumes", container(h.Name))
	return err
}

// Dial logs in over SSH as user, with the lab's key, to the host key the lab gave the host.
func (h *Host) Dial(ctx context.Context, user string) (*ssh.Client, error) {
	return h.DialPort(ctx, user, "22")
}

// DialPort is Dial to an sshd on another port.
func (h *Host) DialPort(ctx context.Context, user, port string) (*ssh.Client, error) {
	private, err := os.ReadFile(h.lab.KeyFile())
	if err != nil {
		return nil, fmt.Errorf("reading the lab's key: %w", err)
	}
	signer, err := ssh.ParsePrivateKey(private)
	if err != nil {
		return nil, fmt.Errorf("reading the lab's key: %w", err)
	}
	hostKey, err := ensureKey(h.lab.hostKeyFile(h.Name), h.Name)
	if err != nil {
		return nil, err
	}
	public, _, _, _, err := ssh.ParseAuthorizedKey(hostKey.Public)
	if err != nil {
		return nil, fmt.Errorf("reading the key of %s: %w", h.Name, err)
	}
	target := net.JoinHostPort(h.Address, port)
	conn, err := (&net.Dialer{Timeout: 2 * time.Second}).DialContext(ctx, "tcp", target)
	if err != nil {
		return nil, fmt.Errorf("dialling %s: %w", h.Name, err)
	}
	if err := conn.SetDeadline(time.Now().Add(15 * time.Second)); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	client, channels, requests, err := ssh.NewClientConn(conn, knownhosts.Normalize(target), &ssh.ClientConfig{
		User: user, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, HostKeyCallback: ssh.FixedHostKey(public),
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("logging in to %s as %s: %w", h.Name, user, err), conn.Close())
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return ssh.NewClient(client, channels, requests), nil
}

// WaitSSH waits until an ordinary user can log in, which systemd allows later than root.
func (h *Host) WaitSSH(ctx context.Context, timeout time.Duration) error {
	return proc.Until(ctx, timeout, "ssh on "+h.Name, func(ctx context.Context) error {
		client, err := h.Dial(ctx, "kforge")
		if err != nil {
			return err
		}
		return client.Close()
	})
}

// unlisted are the directories that Listing leaves out: kernel's and volatile ones, logs, what running daemons write all the
// time, and kforge's own.
var unlisted = []string{
	"proc", "sys", "dev", "run", "tmp", "var/tmp", "var/log", "var/cache", "var/spool", "var/lib/kforge", "home/kforge/.cache", "var/lib/systemd",
	"var/lib/chrony", "var/lib/private", "var/lib/containerd", "var/lib/kubelet", "var/lib/etcd", "var/lib/cni", "var/lib/apt",
}

// Listing describes every file of the host: a line each with type, mode, owner, path and link target, then the sha256 of each
// regular file. Times are not part of it.
func (h *Host) Listing(ctx context.Context) (string, error) {
	var prune []string
	for _, dir := range unlisted {
		prune = append(prune, "-path ./"+dir)
	}
	find := "find . \\( " + strings.Join(prune, " -o ") + " \\) -prune -o"
	return h.Exec(ctx, "sh", "-euc", "export LC_ALL=C; cd /; "+
		find+" -printf '%y %m %U %G %p %l\\n' | sort; "+
		find+" -type f -print0 | sort -z | xargs -0 sha256sum")
}

// Checksum is the digest of Listing: equal before and after what must not change a host.
func (h *Host) Checksum(ctx context.Context) (string, error) {
	listing, err := h.Listing(ctx)
	if err != nil {
		return "", fmt.Errorf("summing the files of %s: %w", h.Name, err)
	}
	sum := sha256.Sum256([]byte(listing))
	return hex.EncodeToString(sum[:]), nil
}

// ExitCode is the exit code of a command that Exec or Stream ran, or -1 when it failed otherwise.
func ExitCode(err error) int {
	if err == nil {
		return 0
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	if exit, ok := errors.AsType[*ssh.ExitError](err); ok {
		return exit.ExitStatus()
	}
	return -1
}
