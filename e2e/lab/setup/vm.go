package setup

import (
	"context"
	"fmt"
	"io"
	"strings"
)

// vmTools are what only virtual machines need.
var vmTools = []tool{
	{Package: "user-mode-linux", Program: "linux.uml"},
	{Package: "mmdebstrap", Program: "mmdebstrap"},
	{Package: "e2fsprogs", Program: "debugfs"},
	{Package: "iproute2", Program: "ip"},
}

// VirtualMachines installs what is missing for virtual machines.
func VirtualMachines(ctx context.Context, log io.Writer) error {
	packages := missing(vmTools)
	if len(packages) == 0 {
		return nil
	}
	fmt.Fprintf(log, "installing %s\n", strings.Join(packages, " "))
	return install(ctx, packages)
}
