package cli

import (
	"github.com/spf13/cobra"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/run"
	"kforge.dev/kforge/pkg/ui"
)

func (a *app) upgrade() *cobra.Command {
	var f clusterFlags
	var o run.UpgradeOptions
	var plan, detailed bool
	c := &cobra.Command{
		Use:   "upgrade [INVENTORY]",
		Short: "bring the cluster to another version of Kubernetes",
		Long: `Brings a cluster to the version that the inventory names, or --to another one, which
is written into the inventory at the end. One minor goes after the other: a snapshot
of etcd, the control planes one by one, each behind the health of the one before,
then the workers, --max-unavailable at a time. A node is drained when its kubelet
goes to another minor. When a worker fails, no other one is begun; run the same
again and it goes on from what it finds.`,
		Args: atMostOne("INVENTORY"),
		RunE: func(c *cobra.Command, args []string) error {
			if f.output == "json" && plan && a.progress == "auto" {
				a.progress = "plain" // stdout is the plan
			}
			env, base, err := a.env(&f, args)
			if err != nil {
				return err
			}
			o.Options = base
			if !plan {
				return run.Upgrade(c.Context(), env, o)
			}
			view, err := run.UpgradePlan(c.Context(), env, o)
			if err != nil && diag.KindOf(err) != diag.Partial {
				return err
			}
			if f.output == "json" {
				if err := ui.PlanJSON(a.streams.Out, view); err != nil {
					return err
				}
			} else if err := ui.Plan(a.streams.Out, view, a.uiOptions(a.streams.Out)); err != nil {
				return err
			}
			if err == nil && detailed && len(view.Items) > 0 {
				return &exitError{ExitChanges}
			}
			return err
		},
	}
	f.add(c)
	f.addScope(c)
	c.Flags().BoolVarP(&f.yes, "yes", "y", false, "do not ask")
	c.Flags().IntVar(&f.maxFailures, "max-failures", 0, "start nothing new once this `number` of hosts failed; 0 is no limit")
	c.Flags().StringVar(&o.To, "to", "", "the `version` to go to; by default the inventory's")
	c.Flags().BoolVar(&plan, "plan", false, "show the way and what would change first, and change nothing")
	c.Flags().BoolVar(&detailed, "detailed-exitcode", false, "with --plan: exit with 2 when there are changes")
	c.Flags().StringVar(&o.MaxUnavailable, "max-unavailable", "", "how many workers may be out of service at one time: a `number` or a percentage; by default the inventory's")
	c.Flags().DurationVar(&o.DrainTimeout, "drain-timeout", 0, "how long a node's pods may take to leave it; by default the inventory's")
	return c
}
