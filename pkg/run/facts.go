package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"sigs.k8s.io/yaml"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/event"
	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/wire"
)

// FactsOptions say whose facts are wanted.
type FactsOptions struct {
	// Inventory is its file; "" when Hosts are addresses: [NAME=][USER@]ADDRESS[:PORT].
	Inventory string
	// Hosts are names or addresses of the inventory's hosts; none is all.
	Hosts []string
}

// FactsView is the facts of a fleet. It marshals to JSON as it is, and to YAML
// by its method.
type FactsView struct {
	Cluster string      `json:"cluster,omitempty"`
	Hosts   []HostFacts `json:"hosts"` // in the inventory's order
}

// HostFacts are the facts of one host, or why there are none.
type HostFacts struct {
	Name    string      `json:"name"`
	Address string      `json:"address"`
	Facts   *facts.Host `json:"facts,omitempty"`
	Error   *diag.Error `json:"error,omitempty"`
}

// YAML writes the view as YAML, with the names that JSON has.
func (v FactsView) YAML() ([]byte, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("writing facts: %w", err)
	}
	out, err := yaml.JSONToYAML(raw)
	if err != nil {
		return nil, fmt.Errorf("writing facts: %w", err)
	}
	return out, nil
}

// Facts reads the facts of hosts and changes nothing: their agents refuse to. A
// host that cannot be reached is in the view with its error; the error of the
// whole is Partial then. Warnings go to the renderers; nothing is recorded.
func Facts(ctx context.Context, e *Env, o FactsOptions) (*FactsView, error) {
	sink := warningsTo(e)
	c, err := whose(o, sink)
	if err != nil {
		return nil, err
	}
	s := &session{env: e, cluster: c, command: "facts", started: time.Now(), sink: sink, left: map[string]error{}}
	userName, machine := holder(s.command)
	lock := wire.Lock{User: userName, Machine: machine, PID: os.Getpid(), Command: "kforge facts", Since: s.started.UTC().Format(time.RFC3339)}
	if s.fleet, err = newFleet(e, c, wire.ReadOnly, lock, sink); err != nil {
		return nil, err
	}
	defer s.fleet.close()
	if err := s.beforeSteps(ctx, s.fleet.connect); err != nil {
		return nil, err
	}
	view := &FactsView{Cluster: c.Name}
	if o.Inventory == "" {
		view.Cluster = ""
	}
	for _, h := range c.Hosts {
		one := HostFacts{Name: h.Name, Address: h.Address, Facts: s.fleet.facts[h.Name]}
		if err := s.fleet.unreachable[h.Name]; err != nil {
			s.left[h.Name] = err
			one.Error = diag.From(err)
		}
		view.Hosts = append(view.Hosts, one)
	}
	return view, s.leftErr()
}

// warningsTo hands warnings on, one at a time: hosts are met side by side.
func warningsTo(e *Env) event.Sink {
	var mu sync.Mutex
	return func(ev event.Event) {
		if ev.Event != event.Warning {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		ev.Time = time.Now()
		for _, r := range e.Renderers {
			r.Event(ev)
		}
	}
}

// whose makes the cluster of the hosts that are asked for.
func whose(o FactsOptions, sink event.Sink) (*inventory.Cluster, error) {
	if o.Inventory == "" {
		targets, err := inventory.ParseTargets(o.Hosts)
		if err != nil {
			return nil, err
		}
		_, c, _, err := inventory.Decode("hosts of the command line", ".", inventory.Starter("hosts", targets))
		return c, err
	}
	all, warnings, err := inventory.Load(o.Inventory)
	if err != nil {
		return nil, err
	}
	for _, w := range warnings {
		sink(event.Event{Event: event.Warning, Text: w.String()})
	}
	if len(o.Hosts) == 0 {
		return all, nil
	}
	some := *all
	some.Hosts = nil
	for _, h := range all.Hosts {
		if slices.Contains(o.Hosts, h.Name) || slices.Contains(o.Hosts, h.Address) {
			some.Hosts = append(some.Hosts, h)
		}
	}
	var errs []error
	for _, name := range o.Hosts {
		if !slices.ContainsFunc(all.Hosts, func(h inventory.ResolvedHost) bool { return name == h.Name || name == h.Address }) {
			errs = append(errs, diag.New(diag.Invalid, "", "no host of %s is called %q", o.Inventory, name).
				WithHint("its hosts are %s", strings.Join(hostNames(all), ", ")))
		}
	}
	return &some, errors.Join(errs...)
}
