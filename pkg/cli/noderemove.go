package cli

import (
	"github.com/spf13/cobra"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/run"
	"kforge.dev/kforge/pkg/ui"
)

func (a *app) nodeRemove() *cobra.Command {
	var f leaveFlags
	c := &cobra.Command{
		Use:   "remove NAME ...",
		Short: "drain hosts, take them out of the cluster and the inventory, and clean them",
		Long: `Drains the nodes by the eviction API, so that PodDisruptionBudgets hold; takes
control planes out of etcd while its quorum holds; cleans the hosts as kforge reset
does; deletes the nodes; has the load balancers of the others forget control planes
that left; and strikes the hosts out of the inventory file. When a run was cut off,
the same command goes on.

It refuses to take the last control plane, the quorum of etcd, a pod that no
controller brings back, and the last copy of data on a host's own disks; the latter
two can be given up by --force NAME. With --dead a host that is gone for good is
taken out without asking it: wipe it before it comes back.`,
		Example: `  kforge node remove n4 -i lab.yaml --plan
  kforge node remove n4
  kforge node remove n2 --dead --yes`,
		RunE: func(c *cobra.Command, args []string) error {
			file, names := inventoryFirst(args)
			if len(names) == 0 {
				return diag.New(diag.Invalid, "", "no host is named: kforge node remove n4")
			}
			f.o.Hosts = names
			return a.leave(&f, file, func(env *run.Env, o run.LeaveOptions) (ui.PlanView, error) {
				return run.NodeRemove(c.Context(), env, o)
			})
		},
	}
	f.add(c)
	c.Flags().BoolVar(&f.o.Dead, "dead", false, "the hosts are gone for good: do not ask them")
	return c
}
