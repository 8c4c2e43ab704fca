package run

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"kforge.dev/kforge/pkg/agentbin"
	"kforge.dev/kforge/pkg/bundle"
	"kforge.dev/kforge/pkg/certs/rotate"
	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/event"
	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/graph"
	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/kubeadm"
	"kforge.dev/kforge/pkg/node"
	"kforge.dev/kforge/pkg/plan"
	"kforge.dev/kforge/pkg/spec"
)

// RotateOptions say which certificates are renewed.
type RotateOptions struct {
	Only  []string // by kubeadm's names; empty means all
	Force bool     // what is not due too
}

// rotateSeconds is for one control plane, with all its waits.
const rotateSeconds = 20 * 60

// turnWithin is how long a control plane waits that its timer or another admin's
// run on it or on another one has ended.
const turnWithin = "2m"

// RotateCerts renews the certificates of all control planes that are due, one
// control plane after the other: the program that also the timer runs does it on
// each. It needs no API: with everything expired it works over SSH alone.
func RotateCerts(ctx context.Context, e *Env, o Options, ro RotateOptions) error {
	for _, name := range ro.Only {
		if !slices.Contains(rotate.Names(), name) {
			return diag.New(diag.Invalid, "renew certificates", "%s is none that can be renewed", name).WithHint("take one of %s", strings.Join(rotate.Names(), ", "))
		}
	}
	steps := func(_ context.Context, s *session) ([]graph.Step, error) {
		var steps []graph.Step
		last := ""
		for _, h := range s.cluster.ControlPlanes() {
			f := s.fleet.facts[h.Name]
			if f == nil || !f.Kubernetes.AdminConf || s.left[h.Name] != nil {
				continue
			}
			tools, err := s.certTools(h, f)
			if err != nil {
				return nil, err
			}
			argv := []string{node.CertsProgram, "--settings", node.CertsSettings, "--locked", "--turn", turnWithin}
			if ro.Force {
				argv = append(argv, "--force")
			}
			if len(ro.Only) > 0 {
				argv = append(argv, "--only", strings.Join(ro.Only, ","))
			}
			step := graph.Step{
				ID: h.Name + "/certs", Host: h.Name, Phase: plan.PhaseControlPlane, Class: plan.ClassHost, Title: "certificates of the control plane",
				Work: &spec.HostWork{Resources: append(tools, spec.Resource{
					ID: "command kforge-certs", Why: "what is due is renewed", Command: &spec.Command{
						Argv: argv, EachRun: true, TimeoutSeconds: node.Scale(rotateSeconds, h.TimeoutScale),
						Hint: "what was there before is in " + node.CertsBackups + " on the host; run the same again",
					},
				})},
			}
			if last != "" {
				step.Needs = []string{last} // one at a time, and none after one that failed
			}
			last = step.ID
			steps = append(steps, step)
		}
		if len(steps) == 0 {
			return nil, noClusterReached("renew certificates", o.Inventory)
		}
		// Where certificates had ended, nothing answers before those of most are new.
		steps = append(steps,
			graph.Step{ID: "cluster/api", Phase: plan.PhaseControlPlane, Class: plan.ClassKube, Title: "API answers", Needs: []string{last}, Work: &spec.KubeWork{WaitAPI: true}},
			graph.Step{ID: "cluster/etcd", Phase: plan.PhaseEtcd, Class: plan.ClassKube, Title: "all members of etcd are healthy", Needs: []string{last}, Work: &spec.EtcdWork{Healthy: &spec.EtcdHealthy{}}},
		)
		return steps, nil
	}
	s, err := openPlanes(e, o, "certs rotate")
	if err != nil {
		return err
	}
	s.sink = tellRotations(s.sink)
	return s.whole(ctx, func(ctx context.Context) error {
		if err := s.planes(ctx, steps); err != nil {
			return err
		}
		return s.kubeconfig(ctx) // it is a copy of one that may be new
	})
}

// tellRotations tells people what the program says of its work to programs.
func tellRotations(sink event.Sink) event.Sink {
	return func(e event.Event) {
		sink(e)
		var r rotate.Result
		if e.Event != event.Output || !strings.HasPrefix(e.Text, "{") || json.Unmarshal([]byte(e.Text), &r) != nil {
			return
		}
		text := "nothing was due"
		if len(r.Renewed) > 0 {
			text = "renewed " + strings.Join(r.Renewed, ", ")
		}
		if len(r.Restarted) > 0 {
			text += "; restarted " + strings.Join(r.Restarted, ", ")
		}
		if r.RolledBack {
			text += "; what was there before is there again"
		} else if r.Backup != "" {
			text += "; what was there before is in " + r.Backup
		}
		sink(event.Event{Event: event.Notice, Host: e.Host, Text: text})
	}
}

// certTools are what a control plane needs to renew its certificates.
func (s *session) certTools(h inventory.ResolvedHost, f *facts.Host) ([]spec.Resource, error) {
	blob, err := certsProgram(f.Kernel.Arch)
	if err != nil {
		return nil, err
	}
	items, err := bundle.Catalogue(s.cluster.Version, f.Kernel.Arch)
	if err != nil {
		return nil, err
	}
	var images []spec.Image // only their names are asked for
	for _, i := range items.For(bundle.ControlPlane).Images() {
		images = append(images, spec.Image{Name: i.Ref})
	}
	ip := node.FindAddress(h, f).IP
	in := kubeadm.Input{
		Cluster: s.cluster, Host: h, Facts: f, NodeIP: ip, Fleet: s.fleet.facts, Images: images, APIServer: kubeadm.APIServer(s.cluster, ip),
	}
	config, err := kubeadm.RenewConfig(in)
	if err != nil {
		return nil, fmt.Errorf("write kubeadm's configuration of %s: %w", h.Name, err)
	}
	return node.CertTools(node.CertRenewal{
		Node: h.Name, Program: node.Artifact{Blob: blob}, Config: config, SANs: in.CertSANs(), Renewal: s.cluster.Certificates.Renewal,
	})
}

// ownPrograms are inside kforge, and no artifacts.
var ownPrograms = sync.OnceValue(agentbin.Certs)

func certsProgram(arch string) (spec.Blob, error) {
	p, err := ownPrograms().For(arch)
	if err != nil {
		return spec.Blob{}, err
	}
	return spec.Blob{Digest: "sha256:" + p.Digest, Size: p.Size, Name: p.Name}, nil
}

// carried gives one of the programs by its digest; nil for another digest.
func carried(digest string) ([]byte, error) {
	for _, arch := range ownPrograms().Arches() {
		p, err := ownPrograms().For(arch)
		if err != nil {
			return nil, err
		}
		if "sha256:"+p.Digest == digest {
			return ownPrograms().Binary(arch)
		}
	}
	return nil, nil
}
