package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"kforge.dev/kforge/pkg/etcd"
	"kforge.dev/kforge/pkg/run"
	"kforge.dev/kforge/pkg/ui"
)

func (a *app) etcdCmd() *cobra.Command {
	c := &cobra.Command{
		Use:   "etcd",
		Short: "look at etcd, save it, bring it back",
		Long: `etcd holds every object of a cluster. These commands reach its members through
SSH, with the credentials of a control plane, which are not kept.`,
	}
	c.AddCommand(a.etcdStatus(), a.etcdSnapshot(), a.etcdRestore(), a.etcdDefrag())
	return c
}

// addPlain adds the flags of commands that need no artifacts.
func (f *clusterFlags) addPlain(c *cobra.Command) {
	c.Flags().StringVarP(&f.output, "output", "o", "text", "`format`: text or json")
	c.Flags().BoolVar(&f.askSudo, "ask-sudo-password", false, "ask for the login users' sudo password")
}

// resultEnv is the world of a run whose result goes to stdout.
func (a *app) resultEnv(f *clusterFlags, args []string) (*run.Env, run.Options, error) {
	if f.output == "json" && a.progress == "auto" {
		a.progress = "plain"
	}
	return a.env(f, args)
}

// lookEnv is the world of a command that only looks, and keeps no record.
func (a *app) lookEnv(f *clusterFlags, args []string) (*run.Env, run.Options, error) {
	if a.progress == "json" { // there are no events, and stdout is the result
		return nil, run.Options{}, oneOf("progress", a.progress, "auto", "tty", "plain")
	}
	a.progress = "plain"
	env, o, err := a.env(f, args)
	a.ended = nil // no summary tells of the errors
	return env, o, err
}

func (a *app) etcdStatus() *cobra.Command {
	var f clusterFlags
	c := &cobra.Command{
		Use:   "status [INVENTORY]",
		Short: "how etcd's members are",
		Long: `Shows each member: whether it is healthy, who leads, how far it is, what its data
takes. Works without quorum too. The exit code is 1 when something is wrong.`,
		Args: atMostOne("INVENTORY"),
		RunE: func(c *cobra.Command, args []string) error {
			env, o, err := a.lookEnv(&f, args)
			if err != nil {
				return err
			}
			view, err := run.EtcdStatus(c.Context(), env, o)
			if view == nil {
				return err
			}
			if f.output == "json" {
				if jsonErr := a.printJSON(view); jsonErr != nil {
					return jsonErr
				}
				if err != nil {
					return &exitError{ExitCode(err)}
				}
				return nil
			}
			if tableErr := showEtcd(a.streams.Out, view, a.uiOptions(a.streams.Out)); tableErr != nil {
				return tableErr
			}
			if err != nil {
				return &exitError{ExitCode(err)}
			}
			return nil
		},
	}
	f.addPlain(c)
	return c
}

func (a *app) printJSON(v any) error {
	enc := json.NewEncoder(a.streams.Out)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

func showEtcd(w io.Writer, v *run.EtcdView, o ui.Options) error {
	var rows [][]string
	for _, m := range v.Members {
		role := "follower"
		switch {
		case m.Leader:
			role = "leader"
		case m.Learner:
			role = "learner"
		}
		health := "ok"
		if !m.Healthy {
			health, role = "! unwell", strings.TrimSuffix(role, "follower")
		}
		size := ""
		if m.DBSize > 0 {
			size = fmt.Sprintf("%s, %s used", etcd.Bytes(m.DBSize), etcd.Bytes(m.DBInUse))
		}
		index := ""
		if m.Index > 0 {
			index = fmt.Sprint(m.Index)
		}
		rows = append(rows, []string{m.Title(), health, role, m.Version, index, size, strings.Join(m.Alarms, " "), etcd.FormatID(m.ID)})
	}
	if err := ui.Table(w, []string{"member", "health", "role", "version", "index", "data", "alarms", "id"}, rows, o); err != nil {
		return err
	}
	for _, p := range v.Problems {
		if _, err := fmt.Fprintf(w, "! %s\n", p); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "\n%s; %s\n", v.Standing, spare(v.Spare()))
	return err
}

func spare(n int) string {
	switch {
	case n < 0:
		return "there is no quorum: nothing can be written"
	case n == 0:
		return "none may be lost"
	}
	return fmt.Sprintf("%d more may be lost", n)
}

func (a *app) etcdDefrag() *cobra.Command {
	var f clusterFlags
	c := &cobra.Command{
		Use:   "defrag [INVENTORY]",
		Short: "have etcd give back unused space",
		Long: `Has each member of which more than a tenth is unused write its data anew. A member
answers nobody meanwhile: they take turns, the leader last, and each begins only
when all are healthy.`,
		Args: atMostOne("INVENTORY"),
		RunE: func(c *cobra.Command, args []string) error {
			env, o, err := a.env(&f, args)
			if err != nil {
				return err
			}
			return run.EtcdDefrag(c.Context(), env, o)
		},
	}
	f.addPlain(c)
	c.Flags().BoolVarP(&f.yes, "yes", "y", false, "do not ask")
	return c
}

func (a *app) etcdSnapshot() *cobra.Command {
	var f clusterFlags
	var so run.SnapshotOptions
	c := &cobra.Command{
		Use:   "snapshot [INVENTORY]",
		Short: "save etcd's state into a file on this machine",
		Long: `Takes the state of one healthy member, writes it whole or not at all, and reads it
back as a restore would. A snapshot holds every object of the cluster, Secrets
too: it is readable by you alone. Its sha256 is written beside it.

The keys of the cluster's CAs are not in etcd. With --with-pki they are saved into
FILE.pki.tar; they are needed where all control planes were lost whole. Who has
them is the cluster's master: keep them apart and safe.`,
		Args: atMostOne("INVENTORY"),
		RunE: func(c *cobra.Command, args []string) error {
			env, o, err := a.resultEnv(&f, args)
			if err != nil {
				return err
			}
			view, err := run.EtcdSnapshot(c.Context(), env, o, so)
			if err != nil {
				return err
			}
			if f.output == "json" {
				return a.printJSON(view)
			}
			rows := [][]string{
				{"file", view.File},
				{"size", etcd.Bytes(view.Size)},
				{"sha256", view.SHA256},
				{"taken of", strings.TrimSpace(view.Member + ", etcd " + view.Version)},
				{"holds", fmt.Sprintf("%s up to revision %d; %s: %s", plural(view.Keys, "key"), view.Revision, plural(len(view.Nodes), "node"), strings.Join(view.Nodes, " "))},
			}
			if view.PKI != "" {
				rows = append(rows, []string{"keys", view.PKI})
			}
			o2 := a.uiOptions(a.streams.Out)
			o2.Width = 0 // what is there to be copied is not cut
			return ui.Table(a.streams.Out, nil, rows, o2)
		},
	}
	f.addPlain(c)
	c.Flags().StringVar(&so.File, "file", "", "write to this `file` (default CLUSTER-etcd-TIME.db in the current folder)")
	c.Flags().BoolVar(&so.WithPKI, "with-pki", false, "save the keys of the cluster's CAs too, into FILE"+run.PKISuffix)
	return c
}

func (a *app) etcdRestore() *cobra.Command {
	var f clusterFlags
	var ro run.RestoreOptions
	c := &cobra.Command{
		Use:   "restore FILE",
		Short: "put the cluster back to a snapshot",
		Long: `Puts the whole cluster back to what a snapshot holds: all that was written since is
lost. It checks the file, shows what it will replace, and asks.

Where control planes are set up, each member's data is made from the snapshot while
the old one may still run; then all stop, the data is exchanged, and all start. The
old data is kept beside the new. Where nothing is left of the control planes, the
cluster is built anew around its data; for this the keys that snapshot --with-pki
saved are needed.`,
		Example: `  kforge etcd restore lab-etcd-20261125T043000Z.db -i lab.yaml`,
		Args:    one("FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			ro.File = args[0]
			env, o, err := a.env(&f, nil)
			if err != nil {
				return err
			}
			return run.EtcdRestore(c.Context(), env, o, ro)
		},
	}
	f.add(c)
	c.Flags().StringVar(&ro.PKI, "pki", "", "`archive` with the cluster's keys (default FILE"+run.PKISuffix+", where it is there)")
	c.Flags().StringSliceVar(&f.skip, "skip", nil, "leave out these control planes (`hosts`): they must not come back as they are")
	c.Flags().BoolVarP(&f.yes, "yes", "y", false, "do not ask")
	return c
}
