// Command kforge-certs renews the certificates of the control plane that it runs
// on. A systemd timer starts it, and kforge does over SSH.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"kforge.dev/kforge/pkg/certs/rotate"
	"kforge.dev/kforge/pkg/diag"
)

// settings is the file that kforge writes on each control plane.
type settings struct {
	Node    string   `json:"node"`
	Config  string   `json:"config"` // kubeadm's configuration of this node
	Left    float64  `json:"left"`   // part of the lifetime
	SANs    []string `json:"sans"`
	Backups string   `json:"backups"`
	Keep    int      `json:"keep"`
	Metrics string   `json:"metrics,omitempty"` // file for node_exporter
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "kforge-certs:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("kforge-certs", flag.ContinueOnError)
	flags.SetOutput(stderr)
	file := flags.String("settings", "/etc/kubernetes/kforge-certs.json", "`file` that kforge has written")
	only := flags.String("only", "", "`names` with commas between; all by default")
	force := flags.Bool("force", false, "renew what is not due too")
	plan := flags.Bool("plan", false, "only tell what is due")
	locked := flags.Bool("locked", false, "whoever starts this has the host's lock")
	turn := flags.Duration("turn", 10*time.Minute, "wait so long for this control plane's turn; 0 takes none: somebody else sees to it")
	if err := flags.Parse(args); err != nil {
		return err
	}
	raw, err := os.ReadFile(*file)
	if err != nil {
		return err
	}
	var s settings
	if err := json.Unmarshal(raw, &s); err != nil {
		return diag.Wrap(diag.Invalid, "read "+*file, err)
	}
	m := &rotate.Machine{Root: "/"}
	o := rotate.Options{
		Force: *force, Left: s.Left, SANs: s.SANs, Config: s.Config, Backups: s.Backups, Keep: s.Keep, Plan: *plan,
		Log: func(format string, args ...any) { fmt.Fprintf(stderr, format+"\n", args...) },
	}
	if *only != "" {
		o.Only = strings.Split(*only, ",")
	}
	if !*locked && !*plan {
		if err := m.Free(ctx, *turn); err != nil {
			return err
		}
	}
	if *turn > 0 {
		o.Turn = m.Turn(s.Node, *turn)
	}
	r, err := rotate.Run(ctx, m, o)
	if r != nil {
		err = errors.Join(err, json.NewEncoder(stdout).Encode(r))
	}
	if *plan {
		return err
	}
	// What is told must not depend on a run that was ended.
	if told := m.Event(context.WithoutCancel(ctx), s.Node, r, err); told != nil {
		o.Log("no Event in the cluster tells of it: %v", told)
	}
	if s.Metrics != "" {
		err = errors.Join(err, m.Metrics(s.Metrics, err))
	}
	return err
}
