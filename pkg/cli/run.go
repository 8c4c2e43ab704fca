package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/run"
	"kforge.dev/kforge/pkg/spec"
	"kforge.dev/kforge/pkg/ui"
	"kforge.dev/kforge/pkg/version"
)

// clusterFlags are those of commands that reach hosts.
type clusterFlags struct {
	bundle  string
	output  string
	askSudo bool
	yes     bool

	limit, skip []string
	maxFailures int
	parallel    map[string]int
}

func (f *clusterFlags) add(c *cobra.Command) {
	f.addBundle(c)
	c.Flags().StringVarP(&f.output, "output", "o", "text", "`format`: text or json")
	c.Flags().BoolVar(&f.askSudo, "ask-sudo-password", false, "ask for the login users' sudo password")
}

func (f *clusterFlags) addBundle(c *cobra.Command) {
	c.Flags().StringVar(&f.bundle, "bundle", "", "take all artifacts from this `file` (see kforge bundle create); nothing is fetched")
}

// addScope adds the flags that choose hosts and bound the work on them.
func (f *clusterFlags) addScope(c *cobra.Command) {
	c.Flags().StringSliceVar(&f.limit, "limit", nil, "only these `hosts`: names, patterns (n*), class:NAME, role:NAME")
	c.Flags().StringSliceVar(&f.skip, "skip", nil, "all but these `hosts`, named as for --limit")
	c.Flags().StringToIntVar(&f.parallel, "parallel", nil, "how many at a time, by kind of work: `KIND=N` of dial, upload, import, join")
}

func (a *app) apply() *cobra.Command {
	var f clusterFlags
	c := &cobra.Command{
		Use:   "apply [INVENTORY]",
		Short: "bring hosts and cluster to what the inventory asks for",
		Long: `Reaches every host of the inventory, shows what would change, asks, and does it.
A host that fails stops alone; run apply again and it goes on from what it finds.
The admin's kubeconfig is written beside the inventory.`,
		Args: atMostOne("INVENTORY"),
		RunE: func(c *cobra.Command, args []string) error {
			env, o, err := a.env(&f, args)
			if err != nil {
				return err
			}
			return run.Apply(c.Context(), env, o)
		},
	}
	f.add(c)
	f.addScope(c)
	c.Flags().BoolVarP(&f.yes, "yes", "y", false, "do not ask")
	c.Flags().IntVar(&f.maxFailures, "max-failures", 0, "start nothing new once this `number` of hosts failed; 0 is no limit")
	return c
}

func (a *app) plan() *cobra.Command {
	var f clusterFlags
	var detailed bool
	c := &cobra.Command{
		Use:   "plan [INVENTORY]",
		Short: "show what apply would change, and change nothing",
		Long: `Reaches every host in read-only mode and shows each change that apply would make,
with the differences of files. Hosts are not changed: the agent refuses to.`,
		Args: atMostOne("INVENTORY"),
		RunE: func(c *cobra.Command, args []string) error {
			jsonOut := f.output == "json"
			if jsonOut && a.progress == "auto" {
				a.progress = "plain" // stdout is the plan
			}
			env, o, err := a.env(&f, args)
			if err != nil {
				return err
			}
			view, err := run.Plan(c.Context(), env, o)
			if err != nil && diag.KindOf(err) != diag.Partial {
				return err
			}
			if jsonOut {
				if err := ui.PlanJSON(a.streams.Out, view); err != nil {
					return err
				}
			} else if err := ui.Plan(a.streams.Out, view, a.uiOptions(a.streams.Out)); err != nil {
				return err
			}
			if err == nil && detailed && len(view.Items) > 0 {
				return &exitError{ExitChanges}
			}
			return err
		},
	}
	f.add(c)
	f.addScope(c)
	c.Flags().BoolVar(&detailed, "detailed-exitcode", false, "exit with 2 when there are changes")
	return c
}

// env builds the world of a run. With -o json the events go to stdout, one
// object a line; otherwise progress goes to stderr.
func (a *app) env(f *clusterFlags, args []string) (*run.Env, run.Options, error) {
	if err := oneOf("output", f.output, "text", "json"); err != nil {
		return nil, run.Options{}, err
	}
	path, err := a.inventoryPath(args)
	if err != nil {
		return nil, run.Options{}, err
	}
	a.hosts.Store(true)
	env := &run.Env{Version: version.Version, Agents: a.agents(), StateDir: a.stateDir, Stop: a.stop, UseAgent: true}
	if home, err := os.UserHomeDir(); err == nil {
		env.SSHConfig = filepath.Join(home, ".ssh", "config")
	}
	mode := a.progress
	if mode == "auto" {
		mode = "plain"
		if errFile, ok := a.streams.Err.(*os.File); ok && ui.IsTerminal(errFile) && os.Getenv("TERM") != "dumb" {
			mode = "tty"
		}
		if f.output == "json" {
			mode = "json"
		}
	}
	var view ui.Renderer
	o := a.uiOptions(a.streams.Err)
	switch mode {
	case "json":
		view = ui.NewJSON(a.streams.Out)
	case "tty":
		errFile, ok := a.streams.Err.(*os.File)
		if !ok {
			return nil, run.Options{}, diag.New(diag.Invalid, "", "--progress tty needs a terminal")
		}
		view = ui.NewTTY(errFile, ui.Size(errFile), o)
	default:
		view = ui.NewPlain(a.streams.Err, o)
	}
	a.ended = &ending{json: mode == "json"}
	env.Renderers = append(env.Renderers, view, a.ended)
	if a.terminal() {
		// Nothing is drawn over a question.
		env.Confirm = func(ctx context.Context, p ui.PlanView) (yes bool, err error) {
			view.Suspend(func() { yes, err = a.confirm(ctx, p) })
			return yes, err
		}
		env.Passphrase = func(ctx context.Context, file string) (phrase []byte, err error) {
			view.Suspend(func() { phrase, err = a.secret(ctx, fmt.Sprintf("passphrase of %s: ", file)) })
			return phrase, err
		}
		if f.askSudo {
			ask := a.sudoPassword()
			env.SudoPassword = func(ctx context.Context, host string) (password spec.Secret, err error) {
				view.Suspend(func() { password, err = ask(ctx, host) })
				return password, err
			}
		}
	} else if f.askSudo {
		return nil, run.Options{}, diag.New(diag.Consent, "", "--ask-sudo-password needs a terminal").
			WithHint("allow sudo without a password on the hosts, or log in as root")
	}
	return env, run.Options{
		Inventory: path, Bundle: f.bundle, Yes: f.yes,
		Limit: f.limit, Skip: f.skip, MaxFailures: f.maxFailures, Parallel: f.parallel,
	}, nil
}

// errStopped is the answer of somebody who pressed Ctrl-C at a question.
var errStopped = diag.New(diag.Canceled, "", "interrupted at a question: nothing was changed")

// confirm shows the plan on stderr, since stdout is the result, and asks.
func (a *app) confirm(ctx context.Context, p ui.PlanView) (bool, error) {
	if err := ui.Plan(a.streams.Err, p, a.uiOptions(a.streams.Err)); err != nil {
		return false, err
	}
	return a.ask(ctx, "\nDo it? (yes/no) ")
}

// ask wants a yes on the terminal; an interrupt ends the question.
func (a *app) ask(ctx context.Context, question string) (bool, error) {
	fmt.Fprint(a.streams.Err, question)
	line := make(chan string, 1)
	go func() {
		s, _ := bufio.NewReader(a.streams.In).ReadString('\n') // end of input is a no
		line <- s
	}()
	select {
	case s := <-line:
		s = strings.ToLower(strings.TrimSpace(s))
		return s == "y" || s == "yes", nil
	case <-a.stop:
		return false, errStopped
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
}

// sudoPassword asks once and uses the answer on every host that wants one.
func (a *app) sudoPassword() func(context.Context, string) (spec.Secret, error) {
	type answer struct {
		password []byte
		err      error
	}
	once := make(chan *answer, 1)
	once <- nil
	return func(ctx context.Context, host string) (spec.Secret, error) {
		got := <-once
		if got == nil {
			p, err := a.secret(ctx, fmt.Sprintf("sudo password (%s and the other hosts): ", host))
			got = &answer{p, err}
		}
		once <- got
		return spec.Secret(got.password), got.err
	}
}

// secret asks for something that the terminal does not show. An interrupt ends
// the question and gives the terminal its echo back.
func (a *app) secret(ctx context.Context, prompt string) ([]byte, error) {
	in, ok := a.streams.In.(*os.File)
	if !ok {
		return nil, diag.New(diag.Consent, "", "there is no terminal to ask for a password")
	}
	fd := int(in.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return nil, fmt.Errorf("reading a password: %w", err)
	}
	type answer struct {
		text []byte
		err  error
	}
	got := make(chan answer, 1)
	fmt.Fprint(a.streams.Err, prompt)
	go func() { // a read of a terminal cannot be cut off: it is left to the process's end
		b, err := term.ReadPassword(fd)
		got <- answer{b, err}
	}()
	defer fmt.Fprintln(a.streams.Err)
	select {
	case r := <-got:
		return r.text, r.err
	case <-a.stop:
		err = errStopped
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	return nil, errors.Join(err, term.Restore(fd, before))
}
