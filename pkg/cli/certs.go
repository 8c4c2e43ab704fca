package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kforge.dev/kforge/pkg/certs"
	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/run"
)

func (a *app) certsCmd() *cobra.Command {
	c := &cobra.Command{
		Use:   "certs",
		Short: "look at the cluster's certificates, and renew them",
		Long: `Everything inside Kubernetes speaks TLS, and its certificates end. These commands
work over SSH: they need no API.`,
	}
	c.AddCommand(a.certsStatus(), a.certsRotate(), a.certsSchedule())
	return c
}

func (a *app) certsStatus() *cobra.Command {
	var f clusterFlags
	var within time.Duration
	var metrics string
	c := &cobra.Command{
		Use:   "status [INVENTORY]",
		Short: "every certificate, in files and as servers show it",
		Long: `Reads the certificates in the files of all nodes, asks API servers, etcd, kubelets,
controller managers and schedulers for the one that they serve, and looks at the
kubeconfig beside the inventory. It finds what has ended or ends soon, what is not
signed by its CA or ends after it, servers that serve another certificate than their
file holds, names of the inventory that the API server's is not for, and kubelets
whose certificate is not renewed. It changes nothing.

It ends with 0 when all is well, with 1 when something is wrong, with 2 when a
certificate ends within the time of --within, and with 3 when something could not be
looked at. Of these, 1 counts first, then 3.`,
		Args: atMostOne("INVENTORY"),
		RunE: func(c *cobra.Command, args []string) error {
			if within < 0 {
				return diag.New(diag.Invalid, "", "--within is %s, and takes 0 or more", within)
			}
			env, o, err := a.lookEnv(&f, args)
			if err != nil {
				return err
			}
			a.hosts.Store(false) // nothing on hosts has to be let end
			v, err := run.Certificates(c.Context(), env, o, within)
			if err != nil {
				return err
			}
			if metrics != "" {
				if err := writeMetrics(metrics, v.Metrics()); err != nil {
					return diag.Wrap(diag.Invalid, "write metrics", err)
				}
			}
			if f.output == "json" {
				err = a.printJSON(v)
			} else {
				err = a.showCerts(v)
			}
			if code := certsCode(v.Verdict); err == nil && code != ExitOK {
				err = &exitError{code}
			}
			return err
		},
	}
	f.addPlain(c)
	c.Flags().DurationVar(&within, "within", 30*24*time.Hour, "tell of certificates that end within this `time`")
	c.Flags().StringVar(&metrics, "metrics", "", "also write a `file` for the textfile collector of node_exporter")
	return c
}

func (a *app) certsRotate() *cobra.Command {
	var f clusterFlags
	var ro run.RotateOptions
	c := &cobra.Command{
		Use:   "rotate [INVENTORY]",
		Short: "renew the certificates of the control planes that are due",
		Long: `Renews certificates of control planes that have a third of their lifetime left or
less, have ended, do not fit their keys or are not for the names of the inventory:
one control plane after the other, each behind a gate. What was there before is kept
on the host, and comes back when the control plane does not come well out of it.
Servers are asked for their new certificates; only what does not read them by itself
is restarted. It works with everything expired and the API down.

A timer on each control plane does the same without this machine.`,
		Args: atMostOne("INVENTORY"),
		RunE: func(c *cobra.Command, args []string) error {
			env, o, err := a.env(&f, args)
			if err != nil {
				return err
			}
			return run.RotateCerts(c.Context(), env, o, ro)
		},
	}
	f.addPlain(c)
	c.Flags().BoolVarP(&f.yes, "yes", "y", false, "do not ask")
	c.Flags().StringSliceVar(&ro.Only, "only", nil, "`names` of certificates with commas between; all by default")
	c.Flags().BoolVar(&ro.Force, "force", false, "renew what is not due too")
	return c
}

func (a *app) certsSchedule() *cobra.Command {
	var f clusterFlags
	c := &cobra.Command{
		Use:   "schedule SCHEDULE [INVENTORY]",
		Short: "say when control planes renew their certificates",
		Long: `Has the timer on each control plane look for certificates that are due at other
times, and writes that into the inventory. SCHEDULE is as systemd's OnCalendar has it
("daily", "Sun 03:00", see man systemd.time), or off.`,
		Example: `  kforge certs schedule "Sun 03:00" lab.yaml
  kforge certs schedule off lab.yaml`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(c *cobra.Command, args []string) error {
			env, o, err := a.env(&f, args[1:])
			if err != nil {
				return err
			}
			return run.ScheduleRenewal(c.Context(), env, o, args[0])
		},
	}
	f.addPlain(c)
	c.Flags().BoolVarP(&f.yes, "yes", "y", false, "do not ask")
	return c
}

func certsCode(s certs.Severity) int {
	switch s {
	case certs.Wrong:
		return ExitFailed
	case certs.Note:
		return ExitPartial
	case certs.Soon:
		return ExitChanges
	}
	return ExitOK
}

func (a *app) showCerts(v *run.CertsView) error {
	t := &statusText{w: a.streams.Out, o: a.uiOptions(a.streams.Out)}
	var rows [][]string
	for _, c := range v.Certificates {
		where := c.Path
		if c.Address != "" {
			where = "served at " + c.Address
		}
		end, left := "! not known", ""
		if c.Error == nil {
			end = c.End.Format(time.DateTime)
			if d := c.End.Sub(v.Time); d > 0 {
				left = certs.Span(d)
			} else {
				left = "! ended"
			}
		}
		rows = append(rows, []string{c.Host, c.Name, end, left, where})
	}
	t.table([]string{"on", "certificate", "ends", "left", "where"}, rows)
	if len(v.Findings) > 0 {
		t.line("")
	}
	for _, f := range v.Findings {
		sign, host := "!", ""
		if f.Severity != certs.Wrong {
			sign = "-"
		}
		if f.Host != "" && !strings.HasPrefix(f.Text, f.Host+": ") { // an error names its host itself
			host = f.Host + ": "
		}
		t.line("%s %s%s", sign, host, f.Text)
		if f.Hint != "" {
			t.line("    %s", f.Hint)
		}
	}
	t.line("")
	t.line("%s", map[certs.Severity]string{
		certs.Well:  fmt.Sprintf("all %d certificates of %s are well", len(v.Certificates), v.Cluster),
		certs.Soon:  "certificates of " + v.Cluster + " end soon",
		certs.Note:  "not all certificates of " + v.Cluster + " could be looked at",
		certs.Wrong: "something is wrong with certificates of " + v.Cluster,
	}[v.Verdict])
	return t.err
}

// writeMetrics replaces the file as a whole: the collector may read at any moment.
func writeMetrics(path, text string) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".kforge-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	if _, err := tmp.WriteString(text); err != nil {
		tmp.Close()
		return err
	}
	if err := tmp.Chmod(0o644); err != nil { // node_exporter is another user
		tmp.Close()
		return err
	}
	if err := tmp.Close(); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}
