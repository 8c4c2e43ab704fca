package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/event"
	"kforge.dev/kforge/pkg/report"
	"kforge.dev/kforge/pkg/run"
	"kforge.dev/kforge/pkg/ui"
)

func (a *app) reportCmd() *cobra.Command {
	var f clusterFlags
	var o run.ReportOptions
	var out string
	c := &cobra.Command{
		Use:   "report [INVENTORY]",
		Short: "one page of HTML: the machines, what is wrong with them, where a run's time went",
		Long: `Asks every host in read-only mode what it is, runs the checks of apply, and draws
one page that needs nothing else to be read: pictures of the machines, the
findings with their remedies, and the last run as bars over time.`,
		Args: atMostOne("INVENTORY"),
		RunE: func(c *cobra.Command, args []string) error {
			f.output = "text"
			if out == "-" && a.progress == "json" {
				return diag.New(diag.Invalid, "", "--progress json and --out - both write to standard output")
			}
			// A record tells its cluster and hosts itself.
			if !o.Offline || o.Run == "" || len(args) > 0 || a.inventory != "" {
				path, err := a.inventoryPath(args)
				if err != nil {
					return err
				}
				o.Inventory = path
			}
			env, view, err := a.quietEnv(&f)
			if err != nil {
				return err
			}
			o.Dir = a.runs()
			in, err := run.Report(c.Context(), env, o, view)
			if in == nil || diag.KindOf(err) == diag.Canceled {
				return err
			}
			if werr := a.writeReport(out, *in); werr != nil {
				return werr
			}
			return err
		},
	}
	c.Flags().StringVar(&out, "out", "report.html", "`file` to write; - is standard output")
	c.Flags().StringVar(&o.Run, "run", "", "the `run` to draw: its name, the end of it, or its folder (default the last with steps)")
	c.Flags().BoolVar(&o.Offline, "offline", false, "ask no host: draw what the record tells")
	c.Flags().BoolVar(&f.askSudo, "ask-sudo-password", false, "ask for the login users' sudo password")
	return c
}

// writeReport writes the page whole or not at all.
func (a *app) writeReport(out string, in report.Input) error {
	if out == "-" {
		return report.Write(a.streams.Out, in)
	}
	tmp, err := os.CreateTemp(filepath.Dir(out), ".report-*")
	if err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	defer os.Remove(tmp.Name()) // fails once it is renamed
	err = report.Write(tmp, in)
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp.Name(), out)
	}
	if err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	fmt.Fprintln(a.streams.Out, out)
	return nil
}

// quietEnv is the world of commands that reach hosts and leave no record. What
// they should warn of goes to stderr.
func (a *app) quietEnv(f *clusterFlags) (*run.Env, event.Sink, error) {
	progress := a.progress
	a.progress = "plain"
	env, _, err := a.env(f, nil)
	a.progress = progress
	if err != nil {
		return nil, nil, err
	}
	a.ended = nil
	view := ui.NewPlain(a.streams.Err, a.uiOptions(a.streams.Err))
	var mu sync.Mutex
	return env, func(e event.Event) {
		if e.Event != event.Warning {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		e.Time = time.Now()
		view.Event(e)
	}, nil
}
