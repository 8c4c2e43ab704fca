package cli

import (
	"github.com/spf13/cobra"

	"kforge.dev/kforge/pkg/run"
	"kforge.dev/kforge/pkg/ui"
)

// leaveFlags are those of commands by which hosts leave a cluster.
type leaveFlags struct {
	clusterFlags
	o run.LeaveOptions
}

func (f *leaveFlags) add(c *cobra.Command) {
	c.Flags().StringVarP(&f.output, "output", "o", "text", "`format`: text or json")
	c.Flags().BoolVar(&f.askSudo, "ask-sudo-password", false, "ask for the login users' sudo password")
	c.Flags().BoolVarP(&f.yes, "yes", "y", false, "do not ask")
	c.Flags().BoolVar(&f.o.PlanOnly, "plan", false, "show what would be removed, and remove nothing")
	c.Flags().StringSliceVar(&f.o.Force, "force", nil, "these `hosts` leave though pods or data that exist nowhere else are lost")
	c.Flags().StringSliceVar(&f.o.Wipe, "wipe-disks", nil, "empty these disks too: `HOST:/dev/disk/by-id/...`")
	c.Flags().DurationVar(&f.o.DrainTimeout, "drain-timeout", 0, "how long a node's pods may take to leave it; by default the inventory's")
}

// leave runs one of these commands on hosts and shows its plan when only that is
// wanted.
func (a *app) leave(f *leaveFlags, file []string, do func(*run.Env, run.LeaveOptions) (ui.PlanView, error)) error {
	jsonPlan := f.o.PlanOnly && f.output == "json"
	if jsonPlan && a.progress == "auto" {
		a.progress = "plain" // stdout is the plan
	}
	env, o, err := a.env(&f.clusterFlags, file)
	if err != nil {
		return err
	}
	f.o.Options = o
	view, err := do(env, f.o)
	if err != nil || !f.o.PlanOnly {
		return err
	}
	if jsonPlan {
		return ui.PlanJSON(a.streams.Out, view)
	}
	return ui.Plan(a.streams.Out, view, a.uiOptions(a.streams.Out))
}

func (a *app) reset() *cobra.Command {
	var f leaveFlags
	c := &cobra.Command{
		Use:   "reset [INVENTORY]",
		Short: "take the cluster, and everything of kforge, off the hosts",
		Long: `Shows what would be removed, asks, and removes it: pods, kubelet and containerd,
their data, etcd's data, pod network, packet filter rules by name, and the files
that kforge put there. What was replaced comes back. Files, rules and disks of
others stay, and so do kernel settings until the next boot. Afterwards the hosts
are as new, and apply makes a cluster of them again.

With --host only these hosts are cleaned; they are drained and taken out of their
cluster first. The inventory stays as it is: to take a host out for good, see
kforge node remove.`,
		Example: `  kforge reset lab.yaml --plan
  kforge reset lab.yaml --host n3
  kforge reset lab.yaml --wipe-disks n3:/dev/disk/by-id/ata-X --yes`,
		Args: atMostOne("INVENTORY"),
		RunE: func(c *cobra.Command, args []string) error {
			return a.leave(&f, args, func(env *run.Env, o run.LeaveOptions) (ui.PlanView, error) {
				return run.Reset(c.Context(), env, o)
			})
		},
	}
	f.add(c)
	c.Flags().StringSliceVar(&f.o.Hosts, "host", nil, "only these `hosts`, by name")
	return c
}
