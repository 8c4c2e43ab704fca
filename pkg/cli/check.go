package cli

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"kforge.dev/kforge/pkg/preflight"
	"kforge.dev/kforge/pkg/run"
	"kforge.dev/kforge/pkg/ui"
)

func (a *app) check() *cobra.Command {
	var o run.CheckOptions
	var output, by string
	f := clusterFlags{output: "text"}
	c := &cobra.Command{
		Use:   "check [INVENTORY]",
		Short: "find what stands in the way, on hosts and between them",
		Long: `Reaches every host in read-only mode, has hosts measure the ways between them, and
tells all that is wrong or odd: with the host, what was seen, and what to do. The
exit code is 5 when a rule fails. Rules can be tuned and waived in the inventory.`,
		Example: `  kforge check lab.yaml
  kforge check lab.yaml --by host
  kforge check -o junit > check.xml`,
		Args: atMostOne("INVENTORY"),
		RunE: func(c *cobra.Command, args []string) error {
			if err := oneOf("output", output, "text", "json", "junit"); err != nil {
				return err
			}
			if err := oneOf("by", by, "rule", "host"); err != nil {
				return err
			}
			if a.progress == "json" { // there are no events, and stdout is the report
				return oneOf("progress", a.progress, "auto", "tty", "plain")
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
			o.Inventory = path
			report, err := run.Check(c.Context(), env, o)
			if err != nil {
				return err
			}
			if err := a.showCheck(report, output, by == "host"); err != nil {
				return err
			}
			if report.Summary.Errors > 0 {
				return &exitError{ExitPreflight}
			}
			return nil
		},
	}
	c.Flags().StringVarP(&output, "output", "o", "text", "`format`: text, json or junit")
	c.Flags().StringVar(&by, "by", "rule", "group text by `what`: rule or host")
	c.Flags().StringSliceVar(&o.Limit, "limit", nil, "only these `hosts`: names, patterns (n*), class:NAME, role:NAME")
	c.Flags().StringSliceVar(&o.Skip, "skip", nil, "all but these `hosts`, named as for --limit")
	c.Flags().BoolVar(&f.askSudo, "ask-sudo-password", false, "ask for the login users' sudo password")
	return c
}

func (a *app) showCheck(r *preflight.Report, output string, byHost bool) error {
	switch output {
	case "json":
		enc := json.NewEncoder(a.streams.Out)
		enc.SetIndent("", "  ")
		return enc.Encode(r)
	case "junit":
		raw, err := r.JUnit()
		if err != nil {
			return err
		}
		_, err = a.streams.Out.Write(raw)
		return err
	}
	reached := 0
	for _, h := range r.Hosts {
		if h.Reached {
			reached++
		}
	}
	v := ui.CheckView{
		Hosts: len(r.Hosts), Items: checkItems(r.Findings), Waived: checkItems(r.Waived),
		Checked: fmt.Sprintf("%s on %s, %s between them", plural(len(r.Rules), "rule"), plural(reached, "host"), plural(r.Paths, "way")),
	}
	return ui.Check(a.streams.Out, v, byHost, a.uiOptions(a.streams.Out))
}

func checkItems(findings []preflight.Finding) (out []ui.CheckItem) {
	for _, f := range findings {
		out = append(out, ui.CheckItem{Severity: string(f.Severity), Rule: f.Rule, Host: f.Host, Message: f.Message, Hint: f.Hint, Reason: f.Reason})
	}
	return out
}
