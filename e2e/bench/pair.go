package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"

	"golang.org/x/sync/errgroup"

	"kforge.dev/kforge/e2e/lab/host"
	"kforge.dev/kforge/e2e/lab/site"
)

const hostCount = 3

// timing of one side, in seconds since its start.
type timing struct {
	Total  float64
	Ready  float64 // when the last node was Ready
	Phases []span  // by their beginning
	Idle   float64 // share of this machine's CPU time that nobody used meanwhile
}

// span is a phase, in seconds since the start.
type span struct {
	Name     string
	From, To float64
}

// pair is one measurement of both sides, each from bare hosts.
type pair struct {
	Floor, Apply timing
	Memory       int64 // bytes, peak of the first apply
	Second       second
	Add          added
}

// added is one more worker for the cluster of either side.
type added struct{ Floor, Kforge timing }

func (p pair) addRatio() float64 { return p.Add.Kforge.Total / p.Add.Floor.Total }

// second is what an apply took that had nothing to do. Connections and Sessions
// are those of the host that had most.
type second struct {
	Seconds               float64
	Connections, Sessions int
	Mutating, Changes     int
}

func (p pair) applyRatio() float64 { return p.Apply.Total / p.Floor.Total }
func (p pair) readyRatio() float64 { return p.Apply.Ready / p.Floor.Ready }

// bench measures pairs on one lab.
type bench struct {
	kforge *kforge
	lab    *site.Lab
	log    io.Writer
	pairs  []pair
}

func (b *bench) options() site.Options { return site.Options{Hosts: hostCount, Log: b.log} }

// warm fills kforge's cache of artifacts, as the floor's is filled by its own
// uncounted download: neither side is to be measured by its downloads.
func (b *bench) warm(ctx context.Context) error {
	if err := b.reset(ctx); err != nil {
		return err
	}
	_, err := b.kforge.run(ctx, "plan", b.kforge.inventory, "--progress", "json")
	return err
}

// pair measures the floor, then kforge, then kforge once more on what it made.
func (b *bench) pair(ctx context.Context) error {
	var p pair
	if err := b.reset(ctx); err != nil {
		return err
	}
	before, err := readCPU()
	if err != nil {
		return err
	}
	if p.Floor, err = floor(ctx); err != nil {
		return err
	}
	if p.Floor.Idle, err = before.idleSince(); err != nil {
		return err
	}
	if err := b.done(ctx); err != nil {
		return fmt.Errorf("look at the floor's cluster: %w", err)
	}
	fmt.Fprintf(b.log, "floor: %.1f s, nodes Ready after %.1f s\n", p.Floor.Total, p.Floor.Ready)
	if p.Add.Floor, err = b.addByFloor(ctx); err != nil {
		return fmt.Errorf("add a worker to the floor's cluster: %w", err)
	}

	if err := b.reset(ctx); err != nil {
		return err
	}
	if before, err = readCPU(); err != nil {
		return err
	}
	first, err := b.kforge.apply(ctx)
	if err != nil {
		return err
	}
	idle, err := before.idleSince()
	if err != nil {
		return err
	}
	if err := b.done(ctx); err != nil {
		return fmt.Errorf("look at kforge's cluster: %w", err)
	}
	if p.Apply, err = first.timing(); err != nil {
		return err
	}
	p.Apply.Idle, p.Memory = idle, first.memory
	fmt.Fprintf(b.log, "kforge: %.1f s, nodes Ready after %.1f s\n", p.Apply.Total, p.Apply.Ready)

	if p.Second, err = b.again(ctx); err != nil {
		return fmt.Errorf("apply again: %w", err)
	}
	fmt.Fprintf(b.log, "kforge again: %.1f s\n", p.Second.Seconds)
	if p.Add.Kforge, err = b.addByKforge(ctx); err != nil {
		return fmt.Errorf("add a worker to kforge's cluster: %w", err)
	}
	fmt.Fprintf(b.log, "a worker more: floor %.1f s, kforge %.1f s\n", p.Add.Floor.Total, p.Add.Kforge.Total)
	b.pairs = append(b.pairs, p)
	return nil
}

// again applies a second time while every sshd tells what it is asked for.
func (b *bench) again(ctx context.Context) (s second, err error) {
	watch, err := watchLogins(ctx, b.lab.Hosts)
	// What a host was told to log is put back even when the run is interrupted.
	defer func() { err = errors.Join(err, watch.stop(context.WithoutCancel(ctx))) }()
	if err != nil {
		return s, err
	}
	r, err := b.kforge.apply(ctx)
	if err != nil {
		return s, err
	}
	sum, err := r.summary()
	if err != nil {
		return s, err
	}
	s.Seconds, s.Mutating, s.Changes = r.seconds(), sum.Mutating, sum.Changed
	s.Connections, s.Sessions, err = watch.count(ctx)
	return s, err
}

// reset makes all hosts bare and lets this machine finish what it was doing, so
// that no side pays for what came before it.
func (b *bench) reset(ctx context.Context) error {
	return b.bare(ctx, b.lab.Hosts)
}

func (b *bench) bare(ctx context.Context, hosts []*host.Host) error {
	var names []string
	for _, h := range hosts {
		names = append(names, h.Name)
	}
	if err := site.Reset(ctx, b.options(), names...); err != nil {
		return err
	}
	g, gctx := errgroup.WithContext(ctx)
	for _, h := range hosts {
		g.Go(func() error {
			out, err := h.Exec(gctx, "systemctl", "is-system-running", "--wait")
			if state := strings.TrimSpace(out); state != "running" {
				return fmt.Errorf("wait for the boot of %s: it is %q: %w", h.Name, state, err)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	syscall.Sync() // what the last cluster wrote
	return nil
}

// done wants the end state that both sides are measured to.
func (b *bench) done(ctx context.Context) error {
	out, err := b.lab.Hosts[0].Exec(ctx, "sh", "-euc", `export KUBECONFIG=/etc/kubernetes/admin.conf
		kubectl get nodes -o 'jsonpath={range .items[*]}{.status.conditions[?(@.type=="Ready")].status}{" "}{end}'
		kubectl -n kube-flannel get daemonset kube-flannel-ds -o 'jsonpath={.status.numberReady} '
		kubectl -n kube-system get deployment coredns -o 'jsonpath={.status.availableReplicas}'`)
	if err != nil {
		return err
	}
	if want := strings.Repeat("True ", hostCount) + fmt.Sprint(hostCount) + " 2"; out != want {
		return fmt.Errorf("nodes Ready, flannel pods, CoreDNS pods: %q, want %q", out, want)
	}
	return nil
}
