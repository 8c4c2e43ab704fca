package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/run"
	"kforge.dev/kforge/pkg/ui"
)

func (a *app) status() *cobra.Command {
	var f clusterFlags
	var watch bool
	var every time.Duration
	c := &cobra.Command{
		Use:   "status [INVENTORY]",
		Short: "how the whole cluster is, and whether it is as the inventory says",
		Long: `Looks at hosts, API, components, etcd, certificates and add-ons, and at what apply
would change; it changes nothing. What cannot be looked at is told, and the rest is
shown: it works when the API is down and when hosts are out of reach.

It ends with 0 when all is well and as the inventory says, with 1 when something is
unwell, with 2 when apply or upgrade would change something, and with 3 when hosts
could not be looked at. Of these, 1 counts first, then 3.`,
		Args: atMostOne("INVENTORY"),
		RunE: func(c *cobra.Command, args []string) error {
			if every < time.Second {
				return diag.New(diag.Invalid, "", "--interval is %s, and takes 1s or more", every)
			}
			env, o, err := a.lookEnv(&f, args)
			if err != nil {
				return err
			}
			a.hosts.Store(false) // nothing on hosts has to be let end
			look := func() (*run.StatusView, error) { return run.Status(c.Context(), env, o) }
			if watch {
				return a.watchStatus(c.Context(), look, f.output, every)
			}
			v, err := look()
			if err != nil {
				return err
			}
			if f.output == "json" {
				err = a.printJSON(v)
			} else {
				err = showStatus(a.streams.Out, v, a.uiOptions(a.streams.Out))
			}
			if code := statusCode(v.Verdict); err == nil && code != ExitOK {
				err = &exitError{code}
			}
			return err
		},
	}
	f.addPlain(c)
	f.addBundle(c)
	c.Flags().BoolVarP(&watch, "watch", "w", false, "look again and again, until Ctrl-C; with -o json, one object a line")
	c.Flags().DurationVar(&every, "interval", 10*time.Second, "with --watch: the `time` between two looks")
	return c
}

func statusCode(v run.Verdict) int {
	switch v {
	case run.Unwell:
		return ExitFailed
	case run.Unreachable:
		return ExitPartial
	case run.Drifted:
		return ExitChanges
	}
	return ExitOK
}

// watchStatus shows one look after the other. On a terminal each takes the place
// of the one before.
func (a *app) watchStatus(ctx context.Context, look func() (*run.StatusView, error), output string, every time.Duration) error {
	o := a.uiOptions(a.streams.Out)
	out, ok := a.streams.Out.(*os.File)
	terminal := ok && ui.IsTerminal(out)
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		v, err := look()
		if err != nil {
			return err
		}
		var b bytes.Buffer
		if output == "json" {
			err = json.NewEncoder(&b).Encode(v)
		} else {
			if terminal {
				b.WriteString("\x1b[H\x1b[2J") // home, and an empty screen
			}
			fmt.Fprintf(&b, "%s, every %s\n\n", v.Time.Local().Format(stamp), every)
			err = showStatus(&b, v, o)
			if !terminal {
				b.WriteByte('\n')
			}
		}
		if err == nil {
			_, err = a.streams.Out.Write(b.Bytes())
		}
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
	}
}
