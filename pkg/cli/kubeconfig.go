package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/run"
)

func (a *app) kubeconfig() *cobra.Command {
	var o run.KubeconfigOptions
	f := clusterFlags{output: "text"}
	var output string
	c := &cobra.Command{
		Use:   "kubeconfig [INVENTORY]",
		Short: "give an admin access: write or merge a context of kubectl",
		Long: `Reads the admin's credentials from a control plane, in read-only mode, and merges a
context into your kubeconfig. What the file says under the same name is replaced
only when you agree. With --through-ssh, the way to the API is a tunnel, and the
ssh command that opens it is printed.`,
		Example: `  kforge kubeconfig lab.yaml
  kforge kubeconfig lab.yaml --out lab.kubeconfig
  kforge kubeconfig lab.yaml --through-ssh`,
		Args: atMostOne("INVENTORY"),
		RunE: func(c *cobra.Command, args []string) error {
			if err := oneOf("output", output, "text", "json"); err != nil {
				return err
			}
			if o.LocalPort < 1 || o.LocalPort > 65535 {
				return diag.New(diag.Invalid, "", "--local-port is %d, and takes a number from 1 to 65535", o.LocalPort)
			}
			if output == "json" && o.File == "-" {
				return diag.New(diag.Invalid, "", "-o json and --out - both write to standard output")
			}
			if o.File == "" {
				file, err := usualKubeconfig()
				if err != nil {
					return err
				}
				o.File = file
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
			if a.terminal() {
				o.Ask = func(ctx context.Context, text string) (bool, error) {
					fmt.Fprintln(a.streams.Err, text)
					return a.ask(ctx, "Do it? (yes/no) ")
				}
			}
			view, err := run.Kubeconfig(c.Context(), env, o)
			if err != nil {
				return err
			}
			if output == "json" {
				return a.json(view)
			}
			return a.showKubeconfig(view)
		},
	}
	fl := c.Flags()
	fl.StringVar(&o.File, "out", "", "`file` to merge into, - for standard output (default $KUBECONFIG, else ~/.kube/config)")
	fl.StringVar(&o.Context, "context", "", "`name` of the context (default the cluster's, with -ssh behind it for a tunnel)")
	fl.BoolVar(&o.Use, "use", false, "make it the current context")
	fl.BoolVar(&o.ThroughSSH, "through-ssh", false, "go through a tunnel, and print the ssh command that opens it")
	fl.IntVar(&o.LocalPort, "local-port", 16443, "`port` of this machine at which the tunnel begins")
	fl.BoolVarP(&o.Yes, "yes", "y", false, "do not ask")
	fl.StringVarP(&output, "output", "o", "text", "`format`: text or json")
	fl.BoolVar(&f.askSudo, "ask-sudo-password", false, "ask for the login users' sudo password")
	return c
}

// usualKubeconfig is the file that kubectl writes to.
func usualKubeconfig() (string, error) {
	if list := filepath.SplitList(os.Getenv("KUBECONFIG")); len(list) > 0 && list[0] != "" {
		return list[0], nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", diag.Wrap(diag.Invalid, "find your kubeconfig", err).WithHint("name a file with --out")
	}
	return filepath.Join(home, ".kube", "config"), nil
}

func (a *app) showKubeconfig(v *run.KubeconfigView) error {
	w := a.streams.Out
	if v.File == "" {
		if _, err := w.Write(v.Content); err != nil {
			return err
		}
		w = a.streams.Err // stdout is the file
	} else if v.Changed {
		fmt.Fprintf(w, "%s has the context %s now\n", v.File, v.Context)
	} else {
		fmt.Fprintf(w, "%s has the context %s already\n", v.File, v.Context)
	}
	if v.Tunnel != nil {
		fmt.Fprintf(w, "\nthe tunnel through %s, until Ctrl-C:\n  %s\n\nand in another terminal:\n", v.Through, shell(v.Tunnel))
	}
	kubectl := []string{"kubectl", "--context", v.Context, "get", "nodes"}
	if usual, err := usualKubeconfig(); v.File != "" && (err != nil || usual != v.File) {
		kubectl = append([]string{"kubectl", "--kubeconfig", v.File}, kubectl[1:]...)
	}
	_, err := fmt.Fprintf(w, "  %s\n", shell(kubectl))
	return err
}

var shellSafe = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./~-]+$`)

// shell writes a command as a person may paste it.
func shell(argv []string) string {
	quoted := make([]string, len(argv))
	for i, s := range argv {
		if quoted[i] = s; !shellSafe.MatchString(s) || strings.HasPrefix(s, "~") {
			quoted[i] = "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
		}
	}
	return strings.Join(quoted, " ")
}
