package resource

import (
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"kforge.dev/kforge/pkg/resource/netlink"
)

// Kernel is what resources ask of the kernel beside its files. A host below
// another root than "/" has none of its own: there it must be given.
type Kernel interface {
	// Unmount takes a mount away; a busy one is only detached.
	Unmount(path string) error
	Kill(pid int) error
	DeleteLink(name string) error
	Routes(in []netip.Prefix) ([]netlink.Route, error)
	DeleteRoute(r netlink.Route) error
	Addresses(ips []netip.Addr) ([]netlink.Address, error)
	DeleteAddress(a netlink.Address) error
	Filter() (Filter, error)
}

// Filter is the packet filter; see netlink.Filter.
type Filter interface {
	Tables() ([]netlink.Table, error)
	Chains() ([]netlink.Chain, error)
	Rules() ([]netlink.Rule, error)
	Commit(r *netlink.Removal) error
	Close()
}

// theKernel is the one that the agent runs on.
type theKernel struct{}

func (theKernel) Unmount(path string) error {
	err := unix.Unmount(path, unix.UMOUNT_NOFOLLOW)
	if err == unix.EBUSY {
		err = unix.Unmount(path, unix.UMOUNT_NOFOLLOW|unix.MNT_DETACH)
	}
	if err != nil && err != unix.EINVAL && err != unix.ENOENT { // these say that it is no mount point any more
		return fmt.Errorf("unmounting %s: %w", path, err)
	}
	return nil
}

func (theKernel) Kill(pid int) error {
	if err := unix.Kill(pid, unix.SIGKILL); err != nil && err != unix.ESRCH {
		return fmt.Errorf("killing process %d: %w", pid, err)
	}
	return nil
}

func (theKernel) DeleteLink(name string) error                      { return netlink.DeleteLink(name) }
func (theKernel) Routes(in []netip.Prefix) ([]netlink.Route, error) { return netlink.Routes(in) }
func (theKernel) DeleteRoute(r netlink.Route) error                 { return netlink.DeleteRoute(r) }
func (theKernel) Addresses(ips []netip.Addr) ([]netlink.Address, error) {
	return netlink.Addresses(ips)
}
func (theKernel) DeleteAddress(a netlink.Address) error { return netlink.DeleteAddress(a) }
func (theKernel) Filter() (Filter, error)               { return netlink.OpenFilter() }

// noKernel is that of a host in a temporary directory: it holds nothing.
type noKernel struct{}

func (noKernel) Unmount(path string) error                      { return fmt.Errorf("unmounting %s: no kernel", path) }
func (noKernel) Kill(pid int) error                             { return fmt.Errorf("killing process %d: no kernel", pid) }
func (noKernel) DeleteLink(name string) error                   { return fmt.Errorf("deleting %s: no kernel", name) }
func (noKernel) Routes([]netip.Prefix) ([]netlink.Route, error) { return nil, nil }
func (noKernel) DeleteRoute(r netlink.Route) error {
	return fmt.Errorf("deleting route to %s: no kernel", r.To)
}
func (noKernel) Addresses([]netip.Addr) ([]netlink.Address, error) { return nil, nil }
func (noKernel) DeleteAddress(a netlink.Address) error {
	return fmt.Errorf("deleting address %s: no kernel", a.IP)
}
func (noKernel) Filter() (Filter, error) { return nil, nil }

// kernelOf gives the kernel of a root.
func kernelOf(root string) Kernel {
	if root == "/" {
		return theKernel{}
	}
	return noKernel{}
}
