package cli

import (
	"github.com/spf13/cobra"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/run"
	"kforge.dev/kforge/pkg/ui"
)

func (a *app) nodeRepair() *cobra.Command {
	var f leaveFlags
	var rejoin bool
	c := &cobra.Command{
		Use:   "repair NAME",
		Short: "put a broken node right, or join it anew",
		Long: `Finds out what is wrong with a node. What apply can put right, apply puts right, on
this host alone: files, units, settings, a host that was installed anew. A host
whose kubelet lost its data, or whose certificate is gone or has expired, is taken
out of the cluster, cleaned and joined again under its name, after a yes. Data on
disks of its own stay. The only control plane cannot be joined anew.`,
		Example: `  kforge node repair n4 -i lab.yaml
  kforge node repair n4 --rejoin --yes`,
		RunE: func(c *cobra.Command, args []string) error {
			file, names := inventoryFirst(args)
			if len(names) != 1 {
				return diag.New(diag.Invalid, "", "one host is to be named: kforge node repair n4")
			}
			f.o.Hosts = names
			return a.leave(&f, file, func(env *run.Env, o run.LeaveOptions) (ui.PlanView, error) {
				return run.NodeRepair(c.Context(), env, o, rejoin)
			})
		},
	}
	f.add(c)
	c.Flags().StringVar(&f.bundle, "bundle", "", "take all artifacts from this `file`; nothing is fetched")
	c.Flags().BoolVar(&rejoin, "rejoin", false, "join the host anew, whatever is wrong with it")
	return c
}
