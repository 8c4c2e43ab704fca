package artifact

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"kforge.dev/kforge/e2e/lab/proc"
)

// Where Debian's package user-mode-linux puts the kernel and its modules.
const (
	UMLKernel  = "/usr/bin/linux.uml"
	umlModules = "/usr/lib/uml/modules"
)

// vmDiskSize is far more than a root file system takes; the file is sparse.
const vmDiskSize = "16G"

// VMDisk returns the ext4 image of a bare virtual machine, a sparse file that is to be copied before it is booted: the root file
// system of a host with a device manager, and the modules of the User-mode Linux kernel that is installed on this machine. It is
// no part of a Set, since only virtual machines need it.
func VMDisk(ctx context.Context, store *Store) (string, error) {
	kernel, err := proc.Output(ctx, "dpkg-query", "--show", "--showformat=${Version}", "user-mode-linux")
	if err != nil {
		return "", err
	}
	root, err := store.Ensure(ctx, vmRoot.key(), vmRoot.build)
	if err != nil {
		return "", err
	}
	key := Key{Name: "vm-disk", Version: vmRoot.Suite, Recipe: []string{vmRoot.key().String(), kernel, vmDiskSize}}
	dir, err := store.Ensure(ctx, key, func(ctx context.Context, dir string) error {
		return buildVMDisk(ctx, filepath.Join(root, "root.tar"), dir)
	})
	return filepath.Join(dir, "root.ext4"), err
}

// buildVMDisk fills dir with root.ext4.
func buildVMDisk(ctx context.Context, rootTar, dir string) error {
	tree, err := os.MkdirTemp(dir, "tree-")
	if err != nil {
		return fmt.Errorf("making a directory: %w", err)
	}
	defer os.RemoveAll(tree)
	image := filepath.Join(dir, "root.ext4")
	for _, args := range [][]string{
		{"tar", "--extract", "--file", rootTar, "--directory", tree, "--numeric-owner", "--xattrs", "--xattrs-include=*", "--same-permissions"},
		{"cp", "--archive", umlModules, filepath.Join(tree, "lib") + "/"},
		// The tree is the root directory of the image, and a private directory would lock all users out of it.
		{"chmod", "0755", tree},
		{"mke2fs", "-q", "-t", "ext4", "-L", "root", "-d", tree, image, vmDiskSize},
	} {
		if err := proc.Run(ctx, args...); err != nil {
			return err
		}
	}
	return os.RemoveAll(tree)
}
