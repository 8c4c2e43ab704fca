package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/spf13/cobra"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/journal"
	"kforge.dev/kforge/pkg/ui"
	"kforge.dev/kforge/pkg/version"
)

func (a *app) replay() *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:   "replay FILE",
		Short: "draw a recorded run again",
		Long: `Draws a run from its record, events.jsonl, at once and as it looked. FILE may also
be the folder of a run; the summary of each run names it.`,
		Args: one("FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			if err := oneOf("output", output, "text", "json"); err != nil {
				return err
			}
			path := args[0]
			if st, err := os.Stat(path); err == nil && st.IsDir() {
				path = filepath.Join(path, journal.EventsFile)
			}
			events, err := journal.Read(path)
			if err != nil {
				if diag.KindOf(err) == diag.NotFound {
					return diag.From(err).WithHint("name events.jsonl of a run, or its folder; runs are recorded in %s", a.runs())
				}
				return err
			}
			var r ui.Renderer = ui.NewPlain(a.streams.Out, a.uiOptions(a.streams.Out))
			if output == "json" {
				r = ui.NewJSON(a.streams.Out)
			}
			for _, e := range events {
				r.Event(e)
			}
			r.Close()
			return nil
		},
	}
	c.Flags().StringVarP(&output, "output", "o", "text", "`format`: text or json")
	return c
}

// runs is the folder of all records.
func (a *app) runs() string {
	if a.stateDir != "" {
		return a.stateDir
	}
	dir, err := journal.DefaultDir()
	if err != nil {
		return "$XDG_STATE_HOME/kforge/runs"
	}
	return dir
}

func (a *app) versionCmd() *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:   "version",
		Short: "which build this is",
		Args:  none,
		RunE: func(*cobra.Command, []string) error {
			if err := oneOf("output", output, "text", "json"); err != nil {
				return err
			}
			set := a.agents()
			digests := map[string]string{}
			for _, arch := range set.Arches() {
				agent, err := set.For(arch)
				if err != nil {
					return err
				}
				digests[arch] = agent.Digest
			}
			if output == "json" {
				return json.NewEncoder(a.streams.Out).Encode(map[string]any{
					"version": version.Version, "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH, "agents": digests,
				})
			}
			fmt.Fprintf(a.streams.Out, "kforge %s %s/%s %s\n", version.Version, runtime.GOOS, runtime.GOARCH, runtime.Version())
			for _, arch := range set.Arches() {
				fmt.Fprintf(a.streams.Out, "agent linux/%s sha256:%s\n", arch, digests[arch])
			}
			return nil
		},
	}
	c.Flags().StringVarP(&output, "output", "o", "text", "`format`: text or json")
	return c
}
