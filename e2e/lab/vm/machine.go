package vm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"kforge.dev/kforge/e2e/lab/host"
	"kforge.dev/kforge/e2e/lab/proc"
)

// machine is a User-mode Linux: one process with its children, a directory with its disks, and a tap on the hosts' bridge.
type machine struct {
	name  string
	index int
	dir   string
	lab   *host.Lab
	host  *host.Host
}

// config is what a machine was made with, kept in its directory.
type config struct {
	Memory string
	Disks  []string // file names, the system's first
}

func (m *machine) file(name string) string { return filepath.Join(m.dir, name) }

// tap is the machine's end of the network link. The kernel allows names of 15 bytes.
func (m *machine) tap() string { return "kforge-" + m.name }

// ensure makes the machine's directory if it is not there. One that could not be made whole is removed.
func (m *machine) ensure(ctx context.Context, image string, o Options) error {
	if _, err := os.Stat(m.file("config.json")); err == nil {
		return nil
	}
	if err := m.make(ctx, image, o); err != nil {
		return errors.Join(err, os.RemoveAll(m.dir))
	}
	return nil
}

func (m *machine) make(ctx context.Context, image string, o Options) error {
	if err := os.MkdirAll(m.dir, 0o755); err != nil {
		return err
	}
	c := config{Memory: o.Memory, Disks: []string{"root.ext4"}}
	if err := proc.Run(ctx, "cp", "--sparse=always", image, m.file("root.ext4")); err != nil {
		return err
	}
	for i := range o.Disks.Count {
		disk := fmt.Sprintf("disk%d", i+1)
		if err := proc.Run(ctx, "truncate", "--size="+o.Disks.Size, m.file(disk)); err != nil {
			return err
		}
		c.Disks = append(c.Disks, disk)
	}
	files, err := m.identity()
	if err != nil {
		return err
	}
	if err := writeInto(ctx, m.file("root.ext4"), files); err != nil {
		return err
	}
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	// Last: a machine with a config is whole.
	return os.WriteFile(m.file("config.json"), text, 0o644)
}

// plug puts the machine's tap into the bridge.
func (m *machine) plug(ctx context.Context) error {
	bridge, err := m.lab.Bridge(ctx)
	if err != nil {
		return err
	}
	if _, err := net.InterfaceByName(m.tap()); err != nil {
		if err := proc.Run(ctx, "ip", "tuntap", "add", "dev", m.tap(), "mode", "tap"); err != nil {
			return err
		}
	}
	return proc.Run(ctx, "ip", "link", "set", "dev", m.tap(), "master", bridge, "up")
}

// Cable leaves the tap itself up: User-mode Linux never uses one again that was down.
func (m *machine) Cable(ctx context.Context, state string) error {
	if state == "up" {
		return m.plug(ctx)
	}
	return proc.Run(ctx, "ip", "link", "set", "dev", m.tap(), "nomaster")
}

func (m *machine) Link(context.Context) (string, error) { return m.tap(), nil }

func (m *machine) OwnKernel() bool { return true }

// remove ends the machine and takes away its link and its disks.
func (m *machine) remove(ctx context.Context) error {
	if err := m.Kill(ctx); err != nil {
		return err
	}
	if _, err := net.InterfaceByName(m.tap()); err == nil {
		if err := proc.Run(ctx, "ip", "link", "delete", "dev", m.tap()); err != nil {
			return err
		}
	}
	return os.RemoveAll(m.dir)
}
