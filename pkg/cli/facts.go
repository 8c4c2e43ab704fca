package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"kforge.dev/kforge/pkg/facts/brief"
	"kforge.dev/kforge/pkg/run"
	"kforge.dev/kforge/pkg/ui"
)

func (a *app) facts() *cobra.Command {
	var output string
	f := clusterFlags{output: "text"}
	c := &cobra.Command{
		Use:   "facts [INVENTORY] [HOST ...]",
		Short: "what the hosts are: hardware, disks, network, time, leftovers",
		Long: `Reaches hosts in read-only mode and tells what they are. Hosts are names or
addresses of the inventory; without any, all of its hosts are asked. Where there
is no inventory yet, hosts are [NAME=][USER@]ADDRESS[:PORT].`,
		Example: `  kforge facts lab.yaml
  kforge facts -i lab.yaml n1 -o json
  kforge facts root@10.0.0.1`,
		RunE: func(c *cobra.Command, args []string) error {
			if err := oneOf("output", output, "table", "json", "yaml"); err != nil {
				return err
			}
			o, err := a.factsOptions(args)
			if err != nil {
				return err
			}
			a.progress = "plain" // there is only one step to be shown
			env, _, err := a.env(&f, nil)
			if err != nil {
				return err
			}
			a.ended = nil // no summary tells of the errors
			view, err := run.Facts(c.Context(), env, o)
			if view == nil {
				return err
			}
			if err := a.showFacts(view, output); err != nil {
				return err
			}
			if err != nil { // the document on stdout has it too: it is told here, not once more there
				ui.Error(a.streams.Err, err, a.uiOptions(a.streams.Err))
				return &exitError{ExitCode(err)}
			}
			return nil
		},
	}
	c.Flags().StringVarP(&output, "output", "o", "table", "`format`: table, json or yaml")
	c.Flags().BoolVar(&f.askSudo, "ask-sudo-password", false, "ask for the login users' sudo password")
	return c
}

// factsOptions tells an inventory from hosts: by -i, else by what the first
// argument looks like, else an inventory is looked for as everywhere; without
// one, hosts are addresses.
func (a *app) factsOptions(args []string) (run.FactsOptions, error) {
	if a.inventory == "" && len(args) > 0 {
		ext := filepath.Ext(args[0])
		if fi, err := os.Stat(args[0]); ext == ".yaml" || ext == ".yml" || err == nil && fi.Mode().IsRegular() {
			return run.FactsOptions{Inventory: args[0], Hosts: args[1:]}, nil
		}
	}
	path, err := a.inventoryPath(nil)
	if err != nil {
		return run.FactsOptions{}, err
	}
	if a.inventory == "" && os.Getenv("KFORGE_INVENTORY") == "" && len(args) > 0 {
		if _, err := os.Stat(path); os.IsNotExist(err) {
			path = ""
		}
	}
	return run.FactsOptions{Inventory: path, Hosts: args}, nil
}

func (a *app) showFacts(view *run.FactsView, output string) error {
	switch output {
	case "json":
		enc := json.NewEncoder(a.streams.Out)
		enc.SetIndent("", "  ")
		return enc.Encode(view)
	case "yaml":
		text, err := view.YAML()
		if err != nil {
			return err
		}
		_, err = a.streams.Out.Write(text)
		return err
	}
	first := true
	for _, h := range view.Hosts {
		if h.Facts == nil {
			continue
		}
		if !first {
			fmt.Fprintln(a.streams.Out)
		}
		first = false
		if err := ui.Table(a.streams.Out, []string{h.Name, h.Address}, brief.Rows(h.Facts), a.uiOptions(a.streams.Out)); err != nil {
			return err
		}
	}
	return nil
}
