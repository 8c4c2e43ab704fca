package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Identity is what makes a host this host, and no other: its keys, made when they are not there yet, and who may log in.
func (l *Lab) Identity(name string) ([]File, error) {
	hostKey, login, err := (&Host{Name: name, lab: l}).keys()
	if err != nil {
		return nil, err
	}
	return identity(hostKey, login), nil
}

func (l *Lab) addressFile(name string) string {
	return filepath.Join(l.State, "hosts", name, "address")
}

// Register makes a host that is no container known to known_hosts and ssh_config. Its identity must have been made before.
func (l *Lab) Register(ctx context.Context, h *Host) error {
	if err := os.WriteFile(l.addressFile(h.Name), []byte(h.Address+"\n"), 0o644); err != nil {
		return fmt.Errorf("registering %s: %w", h.Name, err)
	}
	return l.writeAccess(ctx)
}

// Forget removes a registered host's keys and takes it out of known_hosts and ssh_config.
func (l *Lab) Forget(ctx context.Context, name string) error {
	if err := os.RemoveAll(filepath.Dir(l.addressFile(name))); err != nil {
		return fmt.Errorf("forgetting %s: %w", name, err)
	}
	if _, err := os.Stat(l.KnownHostsFile()); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return l.writeAccess(ctx)
}

// reachable is a host's name and address.
type reachable struct{ name, address string }

// registered lists the hosts of Register.
func (l *Lab) registered() ([]reachable, error) {
	files, err := filepath.Glob(l.addressFile("*"))
	if err != nil {
		return nil, fmt.Errorf("listing registered hosts: %w", err)
	}
	var out []reachable
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return nil, fmt.Errorf("listing registered hosts: %w", err)
		}
		out = append(out, reachable{filepath.Base(filepath.Dir(f)), strings.TrimSpace(string(text))})
	}
	return out, nil
}

// writeAccess writes known_hosts and ssh_config for the hosts that exist.
func (l *Lab) writeAccess(ctx context.Context) error {
	hosts, err := l.Hosts(ctx)
	if err != nil {
		return err
	}
	var all []reachable
	for _, h := range hosts {
		all = append(all, reachable{h.Name, h.Address})
	}
	more, err := l.registered()
	if err != nil {
		return err
	}
	var known, config strings.Builder
	for _, h := range append(all, more...) {
		key, err := ensureKey(l.hostKeyFile(h.name), h.name)
		if err != nil {
			return err
		}
		fmt.Fprintf(&known, "%s,%s %s", h.address, h.name, key.Public)
		fmt.Fprintf(&config, "Host %s\n\tHostName %s\n\n", h.name, h.address)
	}
	fmt.Fprintf(&config, "Host *\n\tUser root\n\tIdentityFile %s\n\tIdentitiesOnly yes\n\tUserKnownHostsFile %s\n\tStrictHostKeyChecking yes\n",
		l.KeyFile(), l.KnownHostsFile())
	if err := os.WriteFile(l.KnownHostsFile(), []byte(known.String()), 0o644); err != nil {
		return fmt.Errorf("writing known_hosts: %w", err)
	}
	if err := os.WriteFile(l.SSHConfigFile(), []byte(config.String()), 0o644); err != nil {
		return fmt.Errorf("writing ssh_config: %w", err)
	}
	return nil
}
