package cli

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/diag/errlist"
	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/ui"
)

func (a *app) inventoryCmd() *cobra.Command {
	c := &cobra.Command{Use: "inventory", Short: "check and show inventories"}
	c.AddCommand(a.inventoryValidate(), a.inventoryShow(), a.inventorySchema())
	return c
}

func (a *app) inventoryValidate() *cobra.Command {
	return &cobra.Command{
		Use:   "validate [INVENTORY ...]",
		Short: "check inventories: every error at once, with line and column",
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				path, err := a.inventoryPath(nil)
				if err != nil {
					return err
				}
				args = []string{path}
			}
			bad := 0
			for _, path := range args {
				cluster, warnings, err := inventory.Load(path)
				for _, w := range warnings {
					fmt.Fprintf(a.streams.Err, "warning: %s\n", w)
				}
				if err != nil {
					bad++
					ui.Error(a.streams.Err, err, a.uiOptions(a.streams.Err))
					continue
				}
				fmt.Fprintf(a.streams.Out, "%s: valid, %s, Kubernetes %s\n", path, plural(len(cluster.Hosts), "host"), cluster.Version)
			}
			if bad > 0 {
				return &exitError{ExitInvalid}
			}
			return nil
		},
	}
}

func (a *app) inventoryShow() *cobra.Command {
	var output string
	var all bool
	c := &cobra.Command{
		Use:   "show [INVENTORY]",
		Short: "the hosts; with --all what each ends up with, and where each value came from",
		Args:  atMostOne("INVENTORY"),
		RunE: func(c *cobra.Command, args []string) error {
			if err := oneOf("output", output, "table", "json", "yaml"); err != nil {
				return err
			}
			path, err := a.inventoryPath(args)
			if err != nil {
				return err
			}
			cluster, _, err := inventory.Load(path)
			if err != nil {
				return err
			}
			switch output {
			case "json":
				enc := json.NewEncoder(a.streams.Out)
				enc.SetIndent("", "  ")
				return enc.Encode(cluster.Show())
			case "yaml":
				text, err := cluster.Show().YAML()
				if err != nil {
					return err
				}
				_, err = a.streams.Out.Write(text)
				return err
			}
			rows := cluster.Summary()
			if all || a.verbose {
				rows = cluster.Table()
			}
			return ui.Table(a.streams.Out, rows[0], rows[1:], a.uiOptions(a.streams.Out))
		},
	}
	c.Flags().StringVarP(&output, "output", "o", "table", "`format`: table, json or yaml")
	c.Flags().BoolVarP(&all, "all", "a", false, "every setting of cluster and hosts, with its origin (json and yaml always have them)")
	return c
}

func (a *app) inventorySchema() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "the JSON Schema of inventories, for editors",
		Args:  none,
		RunE: func(*cobra.Command, []string) error {
			_, err := a.streams.Out.Write(inventory.Schema())
			return err
		},
	}
}

func (a *app) init() *cobra.Command {
	var name, out string
	c := &cobra.Command{
		Use:   "init NAME=ADDRESS ...",
		Short: "write a commented inventory to start from",
		Example: `  kforge init node1=10.0.0.1 node2=10.0.0.2 gpu1=admin@10.0.0.3:2222
  kforge init --name lab --out lab.yaml 10.0.0.1 10.0.0.2`,
		RunE: func(c *cobra.Command, args []string) error {
			targets, err := inventory.ParseTargets(args)
			if err != nil {
				return err
			}
			text := inventory.Starter(name, targets)
			if _, _, _, err := inventory.Decode(out, ".", text); err != nil {
				return errlist.Placeless(err)
			}
			if out == "-" {
				_, err := a.streams.Out.Write(text)
				return err
			}
			// O_EXCL: an inventory that is there is never overwritten.
			f, err := os.OpenFile(out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
			if os.IsExist(err) {
				return diag.New(diag.Invalid, "init", "%s is there already", out).WithHint("choose another name with --out, or remove it")
			}
			if err != nil {
				return err
			}
			if _, err := f.Write(text); err != nil {
				f.Close()
				return err
			}
			if err := f.Close(); err != nil {
				return err
			}
			fmt.Fprintf(a.streams.Out, "wrote %s\nnext: look it over, then kforge plan %s\n", out, out)
			return nil
		},
	}
	c.Flags().StringVar(&name, "name", "cluster", "`name` of the cluster")
	c.Flags().StringVar(&out, "out", "inventory.yaml", "`file` to write, - for standard output")
	return c
}
