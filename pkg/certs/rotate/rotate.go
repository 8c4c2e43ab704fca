// Package rotate renews the certificates of the control plane that it runs on:
// one control plane at a time, under a Lease, behind a gate, with what was there
// before kept, and put back when the node does not come well out of it. The same
// code runs by a timer on the host and when an admin asks for it. It imports
// nothing of Kubernetes: it is a small program on every control plane.
package rotate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"kforge.dev/kforge/pkg/certs"
	"kforge.dev/kforge/pkg/diag"
)

// Options say what is renewed, and when.
type Options struct {
	// Only these, by kubeadm's names; empty means all.
	Only []string
	// Force renews what is not due too.
	Force bool
	// Left is the part of its lifetime that a certificate has left when it is due:
	// a third for 0.
	Left float64
	// SANs that the API server's certificate has to be for. One that it is not for
	// makes it due: kubeadm's own renewal copies the names that were there.
	SANs []string
	// Config is the path of kubeadm's configuration of this node.
	Config string
	// Backups is the folder for what was there before, and Keep how many stay.
	Backups string
	Keep    int
	// Turn waits for this host's turn among the control planes; nil where somebody
	// else sees to it. Its function gives the turn on.
	Turn func(ctx context.Context) (func(), error)
	// Plan only tells what is due.
	Plan bool
	// Log is told each step, a line each.
	Log func(format string, args ...any)
}

// Result is what was done.
type Result struct {
	Due       []Due    `json:"due"`
	Renewed   []string `json:"renewed,omitempty"`
	Restarted []string `json:"restarted,omitempty"`
	Backup    string   `json:"backup,omitempty"`
	// RolledBack tells that the node did not come well out of it, and that what was
	// there before is there again. There is an error then.
	RolledBack bool `json:"rolledBack,omitempty"`
}

// Waits of a rotation. A server reads a new file within a minute (client-go's
// dynamic certificates look again once a minute where inotify missed it).
const (
	gateWithin    = 60 * time.Second
	servedWithin  = 90 * time.Second
	restartWithin = 3 * time.Minute
	brokenWithin  = 20 * time.Second
	pollEvery     = 250 * time.Millisecond
)

// Run renews what is due on the machine. Nothing due is no error and takes no
// turn.
func Run(ctx context.Context, m *Machine, o Options) (*Result, error) {
	if o.Log == nil {
		o.Log = func(string, ...any) {}
	}
	r := &Result{}
	now := m.now()
	held := m.read()
	r.Due = due(held, now, o)
	if len(r.Due) == 0 || o.Plan {
		return r, nil
	}
	// A node whose certificates have ended or do not fit their keys is not well:
	// it is mended, and there is nothing that it could be rolled back to.
	broken := slices.ContainsFunc(r.Due, func(d Due) bool { return d.Broken })
	if o.Turn != nil {
		patient, cancel := ctx, func() {}
		if broken {
			patient, cancel = context.WithTimeout(ctx, brokenWithin)
		}
		release, err := o.Turn(patient)
		cancel()
		switch {
		case err == nil:
			defer release()
		case !broken:
			return r, err
		default: // it may be what keeps the API from answering
			o.Log("goes on without its turn, since its certificates are of no use: %v", err)
		}
	}
	if !broken {
		if err := m.gate(ctx, gateWithin); err != nil {
			return r, fmt.Errorf("before anything is renewed: %w", err)
		}
	}
	var err error
	if r.Backup, err = m.backup(o.Backups, o.Keep, now); err != nil {
		return r, fmt.Errorf("keep what is there: %w", err)
	}
	o.Log("what was there is in %s", r.Backup)
	err = renewAll(ctx, m, o, r, broken)
	if err == nil || broken {
		return r, err
	}
	// A rotation that was told to end is rolled back as well: half of it must not stay.
	back, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*restartWithin)
	defer cancel()
	o.Log("it failed: what was there before comes back")
	if undo := m.rollBack(back, r.Backup, r); undo != nil {
		return r, errors.Join(err, fmt.Errorf("and what was there before, in %s, did not come back: %w", r.Backup, undo))
	}
	r.RolledBack = true
	return r, fmt.Errorf("%w; what was there before is there again", err)
}

func renewAll(ctx context.Context, m *Machine, o Options, r *Result, broken bool) error {
	for _, d := range inOneGo(r.Due) {
		names := []Due{d}
		if d.Name == every {
			names = r.Due
		}
		for _, n := range names { // before: what is half done has to be rolled back too
			r.Renewed = append(r.Renewed, n.Name)
		}
		if err := m.renew(ctx, d, o); err != nil {
			return fmt.Errorf("renew %s: %w", d.Name, err)
		}
		for _, n := range names {
			o.Log("renewed %s: %s", n.Name, n.Why)
		}
	}
	if err := m.check(r.Due, o); err != nil {
		return err
	}
	// What serves a certificate reads it by itself; it is restarted only when it
	// does not. Where certificates had ended, servers may not come up before those
	// of other control planes are new too: that is waited for when all are.
	patience, after := servedWithin, restartWithin
	if broken {
		patience, after = brokenWithin, brokenWithin
	}
	for _, e := range certs.Endpoints(true) {
		if e.File == "" || !renewed(r, e.File) {
			continue
		}
		err := m.serves(ctx, e, patience)
		if err != nil {
			o.Log("%s does not serve its new certificate: it is restarted", e.Name)
			if err := m.restart(ctx, e.Name, nil); err != nil {
				return err
			}
			r.Restarted = append(r.Restarted, e.Name)
			err = m.serves(ctx, e, after)
		}
		switch {
		case err == nil:
			o.Log("%s serves its new certificate", e.Name)
		case broken:
			o.Log("%s does not answer yet: it may wait for the other control planes", e.Name)
		default:
			return err
		}
	}
	if err := restartClients(ctx, m, o, r, broken); err != nil {
		return err
	}
	if broken {
		return nil
	}
	if err := m.gate(ctx, restartWithin); err != nil {
		return fmt.Errorf("after the renewal: %w", err)
	}
	return nil
}

// restartClients starts those again that read their kubeconfigs once, at the same
// time: others lead meanwhile.
func restartClients(ctx context.Context, m *Machine, o Options, r *Result, broken bool) error {
	var restarts sync.WaitGroup
	var failed [2]error
	for i, name := range []string{"kube-controller-manager", "kube-scheduler"} {
		if !renewed(r, strings.TrimPrefix(name, "kube-")+".conf") {
			continue
		}
		r.Restarted = append(r.Restarted, name)
		var at *certs.Endpoint
		if !broken { // else it shows no new certificate before there is an API for it
			all := certs.Endpoints(true)
			at = &all[slices.IndexFunc(all, func(e certs.Endpoint) bool { return e.Name == name })]
		}
		restarts.Go(func() {
			if failed[i] = m.restart(ctx, name, at); failed[i] == nil {
				o.Log("%s was restarted", name)
			}
		})
	}
	restarts.Wait()
	return errors.Join(failed[:]...)
}

// every is kubeadm's name for all that it renews.
const every = "all"

// inOneGo has kubeadm run once where all of its certificates are due as they are.
func inOneGo(due []Due) []Due {
	if len(due) < len(Names()) || slices.ContainsFunc(due, func(d Due) bool { return d.Broken || d.Anew }) {
		return due
	}
	return []Due{{Name: every}}
}

// Names gives the certificates that can be renewed, by kubeadm's names.
func Names() (out []string) {
	for _, f := range certs.Of(true) {
		if !f.CA && f.Name != certs.Kubelet.Name {
			out = append(out, f.Name)
		}
	}
	return out
}

func renewed(r *Result, name string) bool { return slices.Contains(r.Renewed, name) }

// until asks again until f gives no error.
func until(ctx context.Context, within time.Duration, what string, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for {
		err := f(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return diag.New(diag.Timeout, what, "it took longer than %s: %v", within, err)
		case <-time.After(pollEvery):
		}
	}
}
