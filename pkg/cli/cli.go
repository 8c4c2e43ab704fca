// Package cli is the command line: flags become options, results go to ui,
// errors become exit codes. There is no other logic here.
package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/spf13/cobra"

	"kforge.dev/kforge/pkg/agentbin"
	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/ui"
	"kforge.dev/kforge/pkg/version"
)

// Streams are the three standard streams. Those that are *os.File and terminals
// get colour, a live view and questions.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// Program is kforge. The zero value puts those agents on hosts that were built
// into it.
type Program struct {
	Agents func() *agentbin.Set // nil means agentbin.Embedded
}

// app is what all commands share.
type app struct {
	streams Streams
	agents  func() *agentbin.Set
	// Flags of every command.
	inventory string
	color     string
	progress  string
	verbose   bool
	stateDir  string

	stop  chan struct{} // closed by the first interrupt
	hosts atomic.Bool   // the command works on hosts: what runs there is let end
	ended *ending       // what a run's renderers have shown at its end; nil without a run
}

// Main runs one command and gives its exit code. It never panics.
func Main(ctx context.Context, streams Streams, args []string) int {
	return Program{}.Main(ctx, streams, args)
}

// Main runs one command and gives its exit code. It never panics.
func (p Program) Main(ctx context.Context, streams Streams, args []string) (code int) {
	if p.Agents == nil {
		p.Agents = agentbin.Embedded
	}
	a := &app{streams: streams, agents: p.Agents, stop: make(chan struct{})}
	defer func() {
		if p := recover(); p != nil {
			err := diag.New(diag.Internal, "run kforge "+strings.Join(args, " "), "%v", p).WithHint("this is a defect of kforge: please report it with the command that you ran")
			ui.Error(streams.Err, err, a.uiOptions(streams.Err))
			code = ExitCode(err)
		}
	}()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer a.watchInterrupts(cancel)()

	root := a.root()
	root.SetArgs(args)
	root.SetIn(streams.In)
	root.SetOut(streams.Out)
	root.SetErr(streams.Err)
	err := root.ExecuteContext(ctx)
	if err != nil {
		a.tell(err, args)
	}
	return ExitCode(err)
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "kforge",
		Short: "turn bare-metal machines into a Kubernetes cluster",
		Long: `kforge reads an inventory of machines, reaches each over SSH, and makes a
Kubernetes cluster of them: container runtime, kubeadm, network. It shows what it
will change before it changes it, and running it again changes nothing.`,
		Version:       version.Version,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	p := root.PersistentFlags()
	p.StringVarP(&a.inventory, "inventory", "i", "", "inventory `file` (default $KFORGE_INVENTORY, else ./inventory.yaml)")
	p.StringVar(&a.color, "color", "auto", "`when` to use colour: auto, always or never")
	p.StringVar(&a.progress, "progress", "auto", "`how` a run is shown: auto, tty, plain or json")
	p.BoolVarP(&a.verbose, "verbose", "v", false, "show more: output of commands on hosts, each change, each setting")
	p.StringVar(&a.stateDir, "state-dir", "", "`folder` for the records of runs (default $XDG_STATE_HOME/kforge/runs)")
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return diag.Wrap(diag.Invalid, "", err).WithHint("see `%s --help`", c.CommandPath())
	})
	root.PersistentPreRunE = func(*cobra.Command, []string) error {
		if err := oneOf("color", a.color, "auto", "always", "never"); err != nil {
			return err
		}
		return oneOf("progress", a.progress, "auto", "tty", "plain", "json")
	}
	root.AddCommand(a.apply(), a.plan(), a.upgrade(), a.reset(), a.status(), a.check(), a.facts(), a.node(), a.kubeconfig(), a.inventoryCmd(), a.init(), a.bundle(), a.etcdCmd(), a.certsCmd(), a.replay(), a.history(), a.reportCmd(), a.versionCmd())
	// Cobra's own commands, made early to speak as ours do.
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		switch c.Name() {
		case "help":
			c.Short = "help about any command"
		case "completion":
			c.Short = "write a script that completes commands and flags in your shell"
			for _, shell := range c.Commands() {
				shell.Short = "completion for " + shell.Name()
			}
		}
	}
	strictArgs(root)
	return root
}

// inventoryPath finds the inventory: argument, -i, $KFORGE_INVENTORY, or
// ./inventory.yaml.
func (a *app) inventoryPath(args []string) (string, error) {
	switch {
	case len(args) > 0 && a.inventory != "":
		return "", diag.New(diag.Invalid, "", "the inventory is named twice: %s and -i %s", args[0], a.inventory)
	case len(args) > 0:
		return args[0], nil
	case a.inventory != "":
		return a.inventory, nil
	case os.Getenv("KFORGE_INVENTORY") != "":
		return os.Getenv("KFORGE_INVENTORY"), nil
	}
	return "inventory.yaml", nil
}

// watchInterrupts makes Ctrl-C end a command. It returns a function that ends
// the watch.
func (a *app) watchInterrupts(cancel context.CancelCauseFunc) func() {
	ch := make(chan os.Signal, 3)
	signal.Notify(ch, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		a.interrupts(ch, done, cancel, os.Exit)
	}()
	return func() {
		signal.Stop(ch)
		close(done)
		<-ended
	}
}

// interrupts lets the first Ctrl-C stop new work, the second cancel what runs,
// and the third end at once. A command that does not work on hosts has nothing
// that should be let end: the first one cancels it.
func (a *app) interrupts(ch <-chan os.Signal, done <-chan struct{}, cancel context.CancelCauseFunc, exit func(int)) {
	stopped := diag.New(diag.Canceled, "", "interrupted").WithHint("run the same command again: it goes on from what it finds")
	for n := 1; ; n++ {
		select {
		case <-done:
			return
		case <-ch:
		}
		switch {
		case n == 1 && a.hosts.Load():
			fmt.Fprintln(a.streams.Err, "\ninterrupted: nothing new starts; what runs on hosts may end (again to cancel it)")
			close(a.stop)
		case n == 1:
			close(a.stop)
			cancel(stopped)
		case n == 2 && a.hosts.Load():
			fmt.Fprintln(a.streams.Err, "\ninterrupted twice: cancelling what runs on hosts (again to leave at once)")
			cancel(stopped)
		default:
			exit(ExitInterrupted)
			return
		}
	}
}

func (a *app) uiOptions(w io.Writer) ui.Options {
	f, _ := w.(*os.File)
	o := ui.Detect(f, a.color, os.Getenv)
	o.Verbose = a.verbose
	return o
}

func (a *app) terminal() bool {
	in, ok := a.streams.In.(*os.File)
	errf, ok2 := a.streams.Err.(*os.File)
	return ok && ok2 && ui.IsTerminal(in) && ui.IsTerminal(errf)
}
