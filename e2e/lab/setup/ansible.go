package setup

import (
	"context"
	"fmt"
	"io"
	"strings"
)

// ansibleTools are what the comparison with Ansible needs.
var ansibleTools = []tool{
	{Package: "ansible-core", Program: "ansible-playbook"},
	{Package: "openssh-client", Program: "ssh"},
}

// Ansible installs Debian's Ansible when there is none.
func Ansible(ctx context.Context, log io.Writer) error {
	packages := missing(ansibleTools)
	if len(packages) == 0 {
		return nil
	}
	fmt.Fprintf(log, "installing %s\n", strings.Join(packages, " "))
	return install(ctx, packages)
}
