package vm

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"strings"

	"kforge.dev/kforge/e2e/lab/host"
	"kforge.dev/kforge/e2e/lab/proc"
)

// identity is what makes a machine this machine: its keys and users, its name, its address, its id.
func (m *machine) identity() ([]host.File, error) {
	files, err := m.lab.Identity(m.name)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		if f.Path == "/etc/ssh/ssh_host_ed25519_key" {
			f.Path = "/etc/ssh/lab_door_key"
			files = append(files, f)
			break
		}
	}
	id := make([]byte, 16)
	if _, err := rand.Read(id); err != nil {
		return nil, fmt.Errorf("making a machine id: %w", err)
	}
	resolv, err := os.ReadFile("/etc/resolv.conf")
	if err != nil {
		return nil, fmt.Errorf("finding name servers: %w", err)
	}
	network := fmt.Sprintf("[Match]\nName=vec0\n[Network]\nAddress=%s/24\nGateway=%s\nLinkLocalAddressing=no\n", host.MachineAddress(m.index), host.Gateway)
	return append(files,
		host.File{Path: "/etc/machine-id", Mode: 0o444, Content: []byte(hex.EncodeToString(id) + "\n")},
		host.File{Path: "/etc/hostname", Mode: 0o644, Content: []byte(m.name + "\n")},
		host.File{Path: "/etc/hosts", Mode: 0o644, Content: []byte("127.0.0.1 localhost\n::1 localhost\n" + host.Names())},
		host.File{Path: "/etc/resolv.conf", Mode: 0o644, Content: remote(resolv)},
		host.File{Path: "/etc/chrony/sources.d/lab.sources", Mode: 0o644, Content: []byte("server " + host.Gateway + " port " + host.TimePort + " iburst\n")},
		host.File{Path: "/etc/systemd/network/10-lab.network", Mode: 0o644, Content: []byte(network)},
	), nil
}

// remote keeps the name servers that a machine with another loopback interface reaches too.
func remote(resolv []byte) []byte {
	var out strings.Builder
	for line := range strings.Lines(string(resolv)) {
		f := strings.Fields(line)
		if len(f) > 1 && f[0] == "nameserver" {
			if a, err := netip.ParseAddr(f[1]); err == nil && !a.IsLoopback() {
				fmt.Fprintf(&out, "nameserver %s\n", a)
			}
		}
	}
	return []byte(out.String())
}

// writeInto puts files into an ext4 image that is not mounted. Directories above them must be there.
func writeInto(ctx context.Context, image string, files []host.File) error {
	dir, err := os.MkdirTemp("", "kforge-lab-vm-")
	if err != nil {
		return fmt.Errorf("making a directory: %w", err)
	}
	defer os.RemoveAll(dir)
	for i, f := range files {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), f.Content, 0o600); err != nil {
			return fmt.Errorf("writing %s: %w", f.Path, err)
		}
	}
	exist, err := there(ctx, image, files)
	if err != nil {
		return err
	}
	script := filepath.Join(dir, "script")
	if err := os.WriteFile(script, []byte(debugfsScript(dir, files, exist)), 0o600); err != nil {
		return fmt.Errorf("writing a script: %w", err)
	}
	var said bytes.Buffer
	if err := (proc.Command{Args: []string{"debugfs", "-w", "-f", script, image}, Stderr: &said}).Run(ctx); err != nil {
		return err
	}
	return complaints(said.String())
}

// there tells which of the directories among files the image has: debugfs damages it by a mkdir of one that is there.
func there(ctx context.Context, image string, files []host.File) (map[string]bool, error) {
	found := map[string]bool{}
	for _, f := range files {
		if !strings.HasSuffix(f.Path, "/") {
			continue
		}
		out, err := proc.Output(ctx, "debugfs", "-R", "stat "+path.Clean(f.Path), image)
		if err != nil {
			return nil, err
		}
		found[f.Path] = strings.Contains(out, "Type: directory")
	}
	return found, nil
}

// debugfsScript writes the i-th file from dir/i. A file that is there is replaced, a directory that exists is kept.
func debugfsScript(dir string, files []host.File, exist map[string]bool) string {
	var b strings.Builder
	const directory, regular = 0o040000, 0o100000
	for i, f := range files {
		name, kind := path.Clean(f.Path), int64(regular)
		// mkdir and write go by the current directory.
		fmt.Fprintf(&b, "cd %s\n", path.Dir(name))
		if strings.HasSuffix(f.Path, "/") {
			kind = directory
			if !exist[f.Path] {
				fmt.Fprintf(&b, "mkdir %s\n", path.Base(name))
			}
		} else {
			fmt.Fprintf(&b, "rm %s\nwrite %s %s\n", path.Base(name), filepath.Join(dir, fmt.Sprint(i)), path.Base(name))
		}
		fmt.Fprintf(&b, "sif %s mode 0%o\nsif %s uid %d\nsif %s gid %d\n", name, kind|f.Mode, name, f.Owner, name, f.Owner)
	}
	return b.String()
}

// complaints are errors among what debugfs prints to stderr; its exit code tells nothing of them.
func complaints(stderr string) error {
	var errs []error
	for line := range strings.Lines(stderr) {
		line = strings.TrimSpace(line)
		switch {
		case line == "", strings.HasPrefix(line, "debugfs "): // its version
		case strings.HasPrefix(line, "rm: File not found"): // rm of what is not there
		default:
			errs = append(errs, fmt.Errorf("writing into the image: debugfs: %s", line))
		}
	}
	return errors.Join(errs...)
}
