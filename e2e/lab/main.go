// Command lab makes real hosts and a mirror of all artifacts on this machine: "lab up", "lab down", and faults in between.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"text/tabwriter"

	"golang.org/x/sync/errgroup"

	"kforge.dev/kforge/e2e/lab/host"
	"kforge.dev/kforge/e2e/lab/prove"
	"kforge.dev/kforge/e2e/lab/site"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	if exit, ok := errors.AsType[exitCode](err); ok {
		os.Exit(int(exit))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err)
		os.Exit(1)
	}
}

// exitCode is the exit code of a command on a host, handed through.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

const usage = `usage: go run ./e2e/lab VERB [flags] [arguments]

  setup                     install what the lab needs, start docker
  artifacts                 build all artifacts and print them
  mirror [-listen ADDR]     serve the mirror in the foreground
  up [-n 3]                 all of the above, and hosts n1 to nN
  reset [HOST...]           make hosts bare again
  down                      remove hosts, network, mirror and keys; the cache stays
  status                    what is there
  exec HOST -- CMD...       run a command as root on a host
  break HOST FAULT [PEER]   faults: %s
                            (machine-id and port are between two hosts)
  heal HOST FAULT           take the fault away
  vm up [-n 1] [-disks 2x1G] [-memory 1G]  virtual machines v1 to vN
  vm down [HOST...]         remove virtual machines
  vm reboot HOST            shut one down and start it again
  box                       make the Vagrant box of e2e/lab/vagrant and print its file
  prove                     show traffic between pods of the cluster on the hosts
  checksum [-list] [HOST...]  digest over each host's files, or the list of them

flags of all verbs: -kubernetes VERSION, -beside VERSION,..., -state DIR, -cache DIR, -drop-build-cache
`

// misused tells how the command is used.
func misused(stderr io.Writer, what string) error {
	fmt.Fprintf(stderr, usage+"\n", strings.Join(host.Faults(), " "))
	return errors.New(what)
}

// run is the whole command; stdout gets results, stderr progress.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		return misused(stderr, "no verb")
	}
	verb := args[0]
	if verb == "vm" {
		return machines(ctx, args[1:], stdout, stderr)
	}
	o := site.Options{Log: stderr}
	flags := flag.NewFlagSet("lab "+verb, flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&o.Hosts, "n", 3, "number of hosts")
	flags.StringVar(&o.Kubernetes, "kubernetes", "", "Kubernetes version (default the lab's)")
	flags.Func("beside", "further Kubernetes versions that the mirror serves, with commas between them", func(s string) error {
		o.Beside = strings.FieldsFunc(s, func(r rune) bool { return r == ',' })
		return nil
	})
	flags.StringVar(&o.State, "state", "", "state directory (default .lab of the module)")
	flags.StringVar(&o.Cache, "cache", "", "cache of artifacts (default $KFORGE_LAB_CACHE)")
	flags.BoolVar(&o.DropBuildCache, "drop-build-cache", false, "compile with a build cache that is removed afterwards")
	listen := flags.String("listen", site.MirrorAddress, "address of the mirror")
	list := flags.Bool("list", false, "print the files instead of their digest")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	rest := flags.Args()
	switch verb {
	case "setup":
		return site.Setup(ctx, o)
	case "artifacts":
		return artifacts(ctx, o, stdout)
	case "mirror":
		return site.ServeMirror(ctx, o, *listen)
	case "up":
		return up(ctx, o, stdout)
	case "down":
		return site.Down(ctx, o)
	case "reset":
		return site.Reset(ctx, o, rest...)
	case "status":
		return status(ctx, o, stdout)
	case "exec":
		return execute(ctx, o, rest, stdin, stdout, stderr)
	case "break", "heal":
		return breakOrHeal(ctx, o, verb, rest)
	case "box":
		file, err := site.Box(ctx, o)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(stdout, file)
		return err
	case "prove":
		return proveTraffic(ctx, o, stdout)
	case "checksum":
		return checksum(ctx, o, rest, *list, stdout)
	default:
		return misused(stderr, fmt.Sprintf("unknown verb %q", verb))
	}
}

func artifacts(ctx context.Context, o site.Options, stdout io.Writer) error {
	set, m, err := site.Artifacts(ctx, o)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(stdout, 0, 8, 2, ' ', 0)
	for _, a := range set.Artifacts {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", a.Name, a.Version, strings.Join(a.Files, " "), a.Dir)
	}
	fmt.Fprintf(table, "mirror\t%s\t%s\n", m.ID, m.Files)
	return table.Flush()
}

func up(ctx context.Context, o site.Options, stdout io.Writer) error {
	lab, err := site.Up(ctx, o)
	if err != nil {
		return err
	}
	for _, h := range lab.Hosts {
		fmt.Fprintf(stdout, "%s\t%s\n", h.Name, h.Address)
	}
	fmt.Fprintf(stdout, "\nlog in:    ssh -F %s n1     (users root, kforge, asks)\nfiles:     %s/dl.k8s.io/release/%s/bin/linux/amd64/kubeadm\nimages:    %s/registry.k8s.io/kube-proxy:%s\nlook:      go run ./e2e/lab status\nremove:    go run ./e2e/lab down\n",
		lab.SSHConfigFile(), lab.Mirror, lab.Versions.Kubernetes, lab.Registry, lab.Versions.Kubernetes)
	return nil
}

// proveTraffic wants a cluster of all hosts, with the first as control plane.
func proveTraffic(ctx context.Context, o site.Options, stdout io.Writer) error {
	lab, err := site.Open(o)
	if err != nil {
		return err
	}
	hosts, err := lab.Hosts(ctx)
	if err != nil {
		return err
	}
	return prove.Traffic(ctx, hosts, site.MirrorAddress, stdout)
}

func status(ctx context.Context, o site.Options, stdout io.Writer) error {
	hosts, err := site.Hosts(ctx, o)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(stdout, 0, 8, 2, ' ', 0)
	mirror := "not running"
	if site.MirrorRuns(ctx) {
		mirror = "answers at http://" + site.MirrorAddress
	}
	fmt.Fprintf(table, "mirror\t%s\n", mirror)
	for _, h := range hosts {
		state := "off"
		if running, err := h.Running(ctx); err != nil {
			return err
		} else if running {
			state = "no ssh"
			if client, err := h.Dial(ctx, "root"); err == nil {
				state = "up"
				if err := client.Close(); err != nil {
					return fmt.Errorf("closing the connection to %s: %w", h.Name, err)
				}
			}
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", h.Name, h.Address, state)
	}
	return table.Flush()
}

func execute(ctx context.Context, o site.Options, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	if len(args) > 1 && args[1] == "--" {
		args = append(args[:1:1], args[2:]...)
	}
	if len(args) < 2 {
		return errors.New("exec wants a host and a command: lab exec HOST -- CMD ARG")
	}
	h, err := site.Host(ctx, o, args[0])
	if err != nil {
		return err
	}
	err = h.Stream(ctx, stdin, stdout, stderr, args[1:]...)
	if code := host.ExitCode(err); code > 0 {
		return exitCode(code)
	}
	return err
}

func breakOrHeal(ctx context.Context, o site.Options, verb string, args []string) error {
	if n := len(args); n != 2 && !(verb == "break" && n == 3) {
		return fmt.Errorf("usage: lab break HOST FAULT [PEER], lab heal HOST FAULT; faults: %s", strings.Join(host.Faults(), " "))
	}
	h, err := site.Host(ctx, o, args[0])
	if err != nil {
		return err
	}
	if verb == "heal" {
		return h.Heal(ctx, host.Fault(args[1]))
	}
	var peers []*host.Host
	if len(args) == 3 {
		peer, err := site.Host(ctx, o, args[2])
		if err != nil {
			return err
		}
		peers = append(peers, peer)
	}
	return h.Break(ctx, host.Fault(args[1]), peers...)
}

func checksum(ctx context.Context, o site.Options, names []string, list bool, stdout io.Writer) error {
	hosts, err := site.Hosts(ctx, o, names...)
	if err != nil {
		return err
	}
	results := make([]string, len(hosts))
	eg, ctx := errgroup.WithContext(ctx)
	for i, h := range hosts {
		eg.Go(func() (err error) {
			if list {
				results[i], err = h.Listing(ctx)
				return err
			}
			sum, err := h.Checksum(ctx)
			results[i] = sum + "  " + h.Name + "\n"
			return err
		})
	}
	if err := eg.Wait(); err != nil {
		return err
	}
	_, err = io.WriteString(stdout, strings.Join(results, ""))
	return err
}
