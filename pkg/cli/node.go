package cli

import (
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/run"
)

func (a *app) node() *cobra.Command {
	c := &cobra.Command{Use: "node", Short: "the nodes of a running cluster"}
	c.AddCommand(a.nodeAdd(), a.nodeList(), a.nodeRemove(), a.nodeRepair())
	return c
}

// addFlags are the settings of the hosts that are added.
type addFlags struct {
	address, role, class, user, nodeIP, hostKey string
	port                                        int
	labels                                      map[string]string
}

func (a *app) nodeAdd() *cobra.Command {
	var f clusterFlags
	var h addFlags
	c := &cobra.Command{
		Use:   "add NAME[=[USER@]ADDRESS[:PORT]] ...",
		Short: "write hosts into the inventory and join them to the running cluster",
		Long: `Reaches and checks the hosts, shows what would change, asks, writes them into the
inventory, and joins them. The other hosts are left as they are. A host that is
not reached, or does not pass its checks, is not written into the inventory. When
a run was cut off, the same command goes on.`,
		Example: `  kforge node add n4 --address 10.0.0.4 -i lab.yaml
  kforge node add gpu1=10.0.0.5 gpu2=admin@10.0.0.6:2222 --class gpu --yes`,
		RunE: func(c *cobra.Command, args []string) error {
			file, args := inventoryFirst(args)
			hosts, err := h.hosts(args)
			if err != nil {
				return diag.Wrap(diag.Invalid, "", err).WithHint("see `%s --help`", c.CommandPath())
			}
			env, o, err := a.env(&f, file)
			if err != nil {
				return err
			}
			return run.NodeAdd(c.Context(), env, run.AddOptions{Options: o, Hosts: hosts})
		},
	}
	fl := c.Flags()
	fl.StringVar(&h.address, "address", "", "`address` for SSH of the one host that is named without")
	fl.StringVar(&h.role, "role", "", "`role` of the hosts: worker (the default) or control-plane")
	fl.StringVar(&h.class, "class", "", "`class` of the hosts, one of spec.classes")
	fl.StringVar(&h.user, "user", "", "`user` to log in as")
	fl.IntVar(&h.port, "port", 0, "`port` of sshd")
	fl.StringVar(&h.nodeIP, "node-ip", "", "`address` of the node in the cluster, when it is not that for SSH")
	fl.StringVar(&h.hostKey, "host-key", "", "the host's public `key` or its fingerprint, to pin it")
	fl.StringToStringVar(&h.labels, "label", nil, "`KEY=VALUE` labels of the nodes")
	f.add(c)
	fl.BoolVarP(&f.yes, "yes", "y", false, "do not ask")
	fl.IntVar(&f.maxFailures, "max-failures", 0, "start nothing new once this `number` of hosts failed; 0 is no limit")
	fl.StringToIntVar(&f.parallel, "parallel", nil, "how many at a time, by kind of work: `KIND=N` of dial, upload, import, join")
	return c
}

// inventoryFirst takes an inventory off the front of arguments that are hosts:
// it is known by its ending.
func inventoryFirst(args []string) (file, rest []string) {
	if len(args) > 0 && !strings.Contains(args[0], "=") {
		if ext := filepath.Ext(args[0]); ext == ".yaml" || ext == ".yml" {
			return args[:1], args[1:]
		}
	}
	return nil, args
}

// hosts makes what the inventory gets of arguments and flags.
func (f addFlags) hosts(args []string) ([]inventory.Host, error) {
	if len(args) == 0 {
		return nil, diag.New(diag.Invalid, "", "no host is named: kforge node add n4=10.0.0.4")
	}
	if f.role != "" {
		if err := oneOf("role", f.role, inventory.RoleWorker, inventory.RoleControlPlane); err != nil {
			return nil, err
		}
	}
	if f.port < 0 || f.port > 65535 {
		return nil, diag.New(diag.Invalid, "", "--port is %d, and takes a number from 1 to 65535", f.port)
	}
	targets := make([]string, len(args))
	for i, arg := range args {
		targets[i] = arg
		if strings.Contains(arg, "=") {
			continue
		}
		if f.address == "" {
			return nil, diag.New(diag.Invalid, "", "the host %q has no address: write %s=ADDRESS, or give --address", arg, arg)
		}
		if len(args) > 1 {
			return nil, diag.New(diag.Invalid, "", "--address is for one host: write %s=ADDRESS for each of several", arg)
		}
		targets[i] = arg + "=" + f.address
	}
	if f.address != "" && strings.Contains(args[0], "=") {
		return nil, diag.New(diag.Invalid, "", "the address of %s is given twice", args[0])
	}
	if len(args) > 1 && (f.nodeIP != "" || f.hostKey != "") {
		return nil, diag.New(diag.Invalid, "", "--node-ip and --host-key are of one host: add hosts that need them one at a time")
	}
	parsed, err := inventory.ParseTargets(targets)
	if err != nil {
		return nil, err
	}
	var out []inventory.Host
	for _, t := range parsed {
		h := inventory.Host{Name: t.Name, Address: t.Address, NodeIP: f.nodeIP, Class: f.class, HostKey: f.hostKey}
		h.User, h.Port, h.Labels = f.user, f.port, f.labels
		if t.User != "" {
			h.User = t.User
		}
		if t.Port != 0 {
			h.Port = t.Port
		}
		if f.role != "" {
			h.Roles = []string{f.role}
		}
		out = append(out, h)
	}
	return out, nil
}
