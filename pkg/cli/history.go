package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/run"
	"kforge.dev/kforge/pkg/ui"
)

func (a *app) history() *cobra.Command {
	var f clusterFlags
	var host string
	var limit int
	c := &cobra.Command{
		Use:   "history [INVENTORY|RUN]",
		Short: "which runs there were, what one did, or what was changed on a host",
		Long: `Lists the runs recorded on this machine, newest first: those of the inventory's
cluster, or of all clusters when none is named. With a run (its name, the end of it,
or its folder) it shows how each host ended and what was changed. With --host it asks
that host, in read-only mode, for its own journal: changes made from any machine.`,
		Args: atMostOne("INVENTORY or RUN"),
		RunE: func(c *cobra.Command, args []string) error {
			if err := oneOf("output", f.output, "text", "json"); err != nil {
				return err
			}
			if limit < 0 {
				return diag.New(diag.Invalid, "", "--limit is %d, and takes 0 (all) or more", limit)
			}
			if host != "" {
				return a.hostHistory(c, &f, args, host, limit)
			}
			if len(args) == 1 {
				folder, found, err := run.FindRun(a.runs(), args[0])
				if err != nil {
					return err
				}
				if found {
					return a.showRun(folder, f.output)
				}
				if _, err := os.Stat(args[0]); os.IsNotExist(err) {
					return diag.New(diag.NotFound, "", "there is neither an inventory nor a run %q", args[0]).
						WithHint("see `kforge history`; runs are recorded in %s", a.runs())
				}
			}
			return a.listRuns(args, f.output, limit)
		},
	}
	c.Flags().StringVar(&host, "host", "", "the host `name` whose own journal is to be shown")
	c.Flags().IntVar(&limit, "limit", 20, "show at most this `number`; 0 is all")
	c.Flags().StringVarP(&f.output, "output", "o", "text", "`format`: text or json")
	c.Flags().BoolVar(&f.askSudo, "ask-sudo-password", false, "with --host: ask for the login user's sudo password")
	return c
}

func (a *app) listRuns(args []string, output string, limit int) error {
	cluster := ""
	if len(args) > 0 || a.inventory != "" {
		file, err := a.inventoryPath(args)
		if err != nil {
			return err
		}
		c, _, err := inventory.Load(file)
		if err != nil {
			return err
		}
		cluster = c.Name
	}
	records, err := run.History(a.runs(), cluster, limit)
	if err != nil {
		return err
	}
	if output == "json" {
		return a.json(records)
	}
	if len(records) == 0 {
		fmt.Fprintf(a.streams.Err, "no run is recorded in %s\n", a.runs())
		return nil
	}
	var rows [][]string
	for _, r := range records {
		rows = append(rows, []string{
			when(r), r.Command, r.Cluster, string(r.Result), fmt.Sprint(r.Hosts), fmt.Sprint(r.Changed),
			fmt.Sprint(r.Failed + r.Unreachable), took(r.Seconds), r.User, r.Run[strings.LastIndexByte(r.Run, '-')+1:],
		})
	}
	header := []string{"when", "command", "cluster", "result", "hosts", "changes", "failed", "time", "who", "run"}
	return ui.Table(a.streams.Out, header, rows, a.uiOptions(a.streams.Out))
}

func (a *app) showRun(folder, output string) error {
	p, err := run.ReadRun(folder)
	if err != nil {
		return err
	}
	if output == "json" {
		return a.json(p)
	}
	o := a.uiOptions(a.streams.Out)
	rows := [][]string{{"run", p.Run}, {"when", when(p.Record)}, {"command", p.Command + " " + p.Cluster}}
	if p.User != "" {
		rows = append(rows, []string{"who", p.User})
	}
	rows = append(rows, []string{"kforge", p.Version}, []string{"result", fmt.Sprintf("%s after %s", p.Result, took(p.Seconds))},
		[]string{"changes", fmt.Sprint(p.Changed)}, []string{"record", p.Dir})
	if p.Error != nil {
		rows = append(rows, []string{"error", p.Error.Error()})
	}
	wide := o
	wide.Width = 0 // paths are there to be copied
	if err := ui.Table(a.streams.Out, nil, rows, wide); err != nil {
		return err
	}
	if len(p.Results) > 0 {
		rows = nil
		for _, r := range p.Results {
			note := r.Because
			if r.Error != nil {
				note = r.Error.Error()
			}
			rows = append(rows, []string{whose(r.Host), string(r.Status), fmt.Sprint(r.Changes), took(r.Seconds), note})
		}
		fmt.Fprintln(a.streams.Out)
		if err := ui.Table(a.streams.Out, []string{"host", "result", "changes", "time", ""}, rows, o); err != nil {
			return err
		}
	}
	if len(p.Changes) == 0 {
		return nil
	}
	rows = nil
	for _, c := range p.Changes {
		rows = append(rows, []string{took(c.Time.Sub(p.Time).Seconds()), whose(c.Host), string(c.Action), c.Resource, c.Why})
	}
	fmt.Fprintln(a.streams.Out)
	return ui.Table(a.streams.Out, []string{"at", "host", "change", "what", "why"}, rows, o)
}

func (a *app) hostHistory(c *cobra.Command, f *clusterFlags, args []string, host string, limit int) error {
	file, err := a.inventoryPath(args)
	if err != nil {
		return err
	}
	env, warn, err := a.quietEnv(f)
	if err != nil {
		return err
	}
	list, err := run.HostHistory(c.Context(), env, file, host, limit, warn)
	if err != nil {
		return err
	}
	if f.output == "json" {
		return a.json(list)
	}
	if len(list) == 0 {
		fmt.Fprintf(a.streams.Err, "kforge has changed nothing on %s\n", host)
		return nil
	}
	var rows [][]string
	for _, e := range list {
		outcome := e.Outcome
		if outcome == "ok" {
			outcome = e.Detail
		} else {
			outcome = "failed: " + outcome
		}
		rows = append(rows, []string{e.Time.Local().Format(stamp), string(e.Action), e.Resource, e.Version, e.Run, outcome})
	}
	return ui.Table(a.streams.Out, []string{"when", "change", "what", "kforge", "run", ""}, rows, a.uiOptions(a.streams.Out))
}

// json writes a result for programs.
func (a *app) json(v any) error {
	enc := json.NewEncoder(a.streams.Out)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

const stamp = "2006-01-02 15:04:05"

func when(r run.Record) string { return r.Time.Local().Format(stamp) }

func took(seconds float64) string { return fmt.Sprintf("%.1fs", seconds) }

func whose(host string) string {
	if host == "" {
		return "cluster"
	}
	return host
}
