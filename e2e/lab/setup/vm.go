package setup

import (
	"context"
	"io"
)

// vmTools are what only virtual machines need.
var vmTools = []tool{
	{Package: "user-mode-linux", Program: "linux.uml"},
	{Package: "mmdebstrap", Program: "mmdebstrap"},
	{Package: "e2fsprogs", Program: "debugfs"},
	{Package: "iproute2", Program: "ip"},
}

// VirtualMachines installs what is missing for virtual machines.
func VirtualMachines(ctx context.Context, log io.Writer) error { return ensure(ctx, vmTools, log) }
