package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"kforge.dev/kforge/pkg/run"
	"kforge.dev/kforge/pkg/ui"
)

func (a *app) nodeList() *cobra.Command {
	var output string
	f := clusterFlags{output: "text"}
	c := &cobra.Command{
		Use:   "list [INVENTORY]",
		Short: "the inventory's hosts against the cluster's nodes",
		Long: `Asks the cluster for its nodes, through a control plane and in read-only mode, and
tells which hosts are nodes, which are not, and which nodes the inventory does not
name.`,
		Args: atMostOne("INVENTORY"),
		RunE: func(c *cobra.Command, args []string) error {
			if err := oneOf("output", output, "table", "json"); err != nil {
				return err
			}
			path, err := a.inventoryPath(args)
			if err != nil {
				return err
			}
			a.progress = "plain" // there is only one step to be shown
			env, _, err := a.env(&f, args)
			if err != nil {
				return err
			}
			a.ended = nil // no summary tells of the errors
			view, err := run.NodeList(c.Context(), env, path)
			if err != nil {
				return err
			}
			if output == "json" {
				return a.json(view)
			}
			return ui.Table(a.streams.Out, nodeHeader, nodeRows(view.Nodes), a.uiOptions(a.streams.Out))
		},
	}
	c.Flags().StringVarP(&output, "output", "o", "table", "`format`: table or json")
	c.Flags().BoolVar(&f.askSudo, "ask-sudo-password", false, "ask for the login users' sudo password")
	return c
}

var nodeHeader = []string{"name", "state", "roles", "address", "node ip", "version", ""}

func nodeRows(nodes []run.NodeView) (rows [][]string) {
	for _, n := range nodes {
		rows = append(rows, []string{n.Name, nodeState(n), strings.Join(n.Roles, ","), n.Address, n.NodeIP, n.Version, n.Why})
	}
	return rows
}

// nodeState is a node's state in a word or two.
func nodeState(n run.NodeView) string {
	var words []string
	switch {
	case n.State == run.NodeMissing:
		return "not joined"
	case n.Ready && n.Why == "":
		words = append(words, "ready")
	case n.Ready:
		words = append(words, "unwell")
	default:
		words = append(words, "not ready")
	}
	if n.Unschedulable {
		words = append(words, "cordoned")
	}
	if n.State == run.NodeUnknown {
		words = append(words, "not in the inventory")
	}
	return strings.Join(words, ", ")
}
