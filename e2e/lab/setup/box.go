package setup

import (
	"context"
	"io"
)

// boxTools are what only the Vagrant box needs.
var boxTools = []tool{
	{Package: "mmdebstrap", Program: "mmdebstrap"},
	{Package: "e2fsprogs", Program: "mke2fs"},
	{Package: "fdisk", Program: "sfdisk"},
	{Package: "dosfstools", Program: "mkfs.vfat"},
	{Package: "mtools", Program: "mcopy"},
	{Package: "syslinux", Program: "syslinux"},
	{Package: "syslinux-common", File: "/usr/lib/syslinux/mbr/mbr.bin"},
	{Package: "qemu-utils", Program: "qemu-img"},
	{Package: "openssh-client", Program: "ssh-keygen"},
}

// Box installs what is missing for making the box.
func Box(ctx context.Context, log io.Writer) error { return ensure(ctx, boxTools, log) }
