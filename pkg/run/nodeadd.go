package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/diag/errlist"
	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/kubeadm"
	"kforge.dev/kforge/pkg/node"
	"kforge.dev/kforge/pkg/ui"
	"kforge.dev/kforge/pkg/wire"
)

// AddOptions say which hosts are to be added.
type AddOptions struct {
	Options // Limit and Skip are not used
	Hosts   []inventory.Host
	// everywhere: the run is about all hosts, since the ways of all nodes to the
	// API follow from the control planes.
	everywhere bool
}

// NodeAdd adds hosts to a running cluster and to its inventory file. With workers
// only, the other hosts are left as they are. A host is written into the file once it was
// reached, passed its checks and somebody agreed, just before the first change
// on it: a host that cannot be added leaves no trace, and a run that is cut off
// goes on when the same command is run again.
func NodeAdd(ctx context.Context, e *Env, o AddOptions) error {
	edit, c, warnings, err := o.edit()
	if err != nil {
		return err
	}
	names := make([]string, len(o.Hosts))
	for i, h := range o.Hosts {
		names[i] = h.Name
		if slices.Contains(h.Roles, inventory.RoleControlPlane) {
			o.everywhere = true
		}
	}
	if !o.everywhere {
		o.Limit = names
	}
	s, err := openCluster(e, o.Options, c, warnings, "node add", wire.ReadWrite)
	if err != nil {
		return err
	}
	return s.whole(ctx, func(ctx context.Context) error { return s.add(ctx, names, edit) })
}

// edit gives what is to be written into the inventory, and what becomes of it.
// Hosts that it has already, as an earlier run has left them, are not written.
func (o AddOptions) edit() (inventory.Edit, *inventory.Cluster, []inventory.Warning, error) {
	var edit inventory.Edit
	data, err := os.ReadFile(o.Inventory)
	if err != nil {
		_, _, err := inventory.Load(o.Inventory) // it tells what to do
		return edit, nil, nil, err
	}
	dir := filepath.Dir(o.Inventory)
	inv, c, warnings, err := inventory.Decode(o.Inventory, dir, data)
	if err != nil {
		return edit, nil, nil, err
	}
	var errs errlist.List
	for i, h := range o.Hosts {
		if slices.Equal(h.Roles, []string{inventory.RoleWorker}) && inv.Spec.Defaults.Roles == nil && inv.Spec.Classes[h.Class].Roles == nil {
			h.Roles = nil // it is one without saying so
		}
		if slices.ContainsFunc(o.Hosts[:i], func(b inventory.Host) bool { return b.Name == h.Name }) {
			errs.Add(diag.New(diag.Invalid, "node add", "the host %q is named twice", h.Name))
			continue
		}
		at := slices.IndexFunc(inv.Spec.Hosts, func(b inventory.Host) bool { return b.Name == h.Name })
		switch {
		case at < 0:
			edit.Add = append(edit.Add, h)
		case !within(h, inv.Spec.Hosts[at]):
			errs.Add(diag.New(diag.Invalid, "node add", "%s has a host %q with other settings: %s", o.Inventory, h.Name, inventory.Entry(inv.Spec.Hosts[at])).
				WithHint("choose another name; or change the inventory and run kforge apply --limit %s", h.Name))
		}
	}
	if err := errs.Err(); err != nil || len(edit.Add) == 0 {
		return edit, c, warnings, err
	}
	_, c, err = edit.Text(o.Inventory, dir, data)
	return edit, c, warnings, err
}

// within tells whether a host of the inventory has all that was asked for.
func within(asked, has inventory.Host) bool {
	a, h := reflect.ValueOf(asked), reflect.ValueOf(has)
	for i := range a.NumField() {
		if a.Type().Field(i).Anonymous {
			continue
		}
		if !a.Field(i).IsZero() && !reflect.DeepEqual(a.Field(i).Interface(), h.Field(i).Interface()) {
			return false
		}
	}
	as, hs := reflect.ValueOf(asked.HostSettings), reflect.ValueOf(has.HostSettings)
	for i := range as.NumField() {
		if !as.Field(i).IsZero() && !reflect.DeepEqual(as.Field(i).Interface(), hs.Field(i).Interface()) {
			return false
		}
	}
	return true
}

// add goes from the plan to the last step.
func (s *session) add(ctx context.Context, names []string, edit inventory.Edit) error {
	err := s.beforeSteps(ctx, s.prepare)
	if err == nil {
		err = s.joinable(names)
	}
	edit, dropped := s.kept(edit)
	if err == nil {
		for _, h := range edit.Add {
			if s.view.Inventory == nil {
				s.view.Inventory = &ui.FileEdit{File: s.options.Inventory}
			}
			s.view.Inventory.Lines = append(s.view.Inventory.Lines, "+ "+inventory.Entry(h))
		}
		err = s.beforeSteps(ctx, s.consent)
	}
	if err == nil && len(edit.Add) > 0 {
		err = edit.File(s.options.Inventory)
	}
	switch {
	case err != nil || len(edit.Add) == 0:
		s.inventoryNow = s.options.Inventory + " is as it was"
	case len(dropped) > 0:
		s.inventoryNow = fmt.Sprintf("%s has %s now; not written: %s", s.options.Inventory, hostsOf(edit), strings.Join(dropped, ", "))
	default:
		s.inventoryNow = fmt.Sprintf("%s has %s now", s.options.Inventory, hostsOf(edit))
	}
	if err != nil {
		return err
	}
	return s.execute(ctx)
}

func hostsOf(edit inventory.Edit) string {
	var names []string
	for _, h := range edit.Add {
		names = append(names, h.Name)
	}
	return strings.Join(names, ", ")
}

// joinable finds what the plan cannot know: whether there is a cluster to join,
// and whether a host would take the place of another machine, or is part of
// another cluster.
func (s *session) joinable(adding []string) error {
	var planes []string
	var lost, left []error
	for _, h := range s.cluster.ControlPlanes() {
		if !slices.Contains(adding, h.Name) {
			planes = append(planes, h.Name)
			if err := s.fleet.unreachable[h.Name]; err != nil {
				lost = append(lost, err)
			}
		}
	}
	for _, name := range adding {
		if err := s.left[name]; err != nil {
			left = append(left, err)
		}
	}
	switch {
	case len(left) == len(adding):
		return errors.Join(left...)
	case !s.hasCluster() && len(lost) > 0:
		return &diag.Error{Kind: diag.Unreachable, Op: "node add", Msg: "a host joins through a control plane, and none can be reached", Err: lost[0]}
	case !s.hasCluster():
		return diag.New(diag.Invalid, "node add", "there is no cluster yet on %s", strings.Join(planes, ", ")).
			WithHint("write the hosts into %s and run kforge apply", s.options.Inventory)
	case s.live == nil:
		return diag.New(diag.Cluster, "node add", "the cluster's API does not answer, and a host joins through it").
			WithHint("see kforge status %s", s.options.Inventory)
	}
	var errs errlist.List
	for _, name := range adding {
		if f := s.fleet.facts[name]; f != nil {
			errs.Add(s.mistaken(name, f))
		}
	}
	return errs.Err()
}

// mistaken finds a host that is not what it is called.
func (s *session) mistaken(name string, f *facts.Host) error {
	h, _ := s.cluster.Host(name)
	there, is := s.live.Node(name)
	switch {
	case !joined(f) && is && there.Ready && there.Address != node.FindAddress(h, f).IP:
		return diag.New(diag.Foreign, "node add", "the cluster has a node of this name, %s, that is ready: another machine", there.Address).
			On(name).WithHint("choose another name")
	case joined(f) && !is && !kubeadm.HalfDone(f):
		return diag.New(diag.Foreign, "node add", "%s is there, and the cluster has no node of this name: the host is a node of another cluster, or has another name in this one", kubeadm.KubeletConf).
			On(name).WithHint("when nothing of it is wanted any more, run `kubeadm reset` on the host")
	}
	return nil
}

// kept gives the part of the edit whose hosts are to be worked on.
func (s *session) kept(edit inventory.Edit) (out inventory.Edit, dropped []string) {
	for _, h := range edit.Add {
		if s.left[h.Name] == nil {
			out.Add = append(out.Add, h)
		} else {
			dropped = append(dropped, h.Name)
		}
	}
	return out, dropped
}
