package run

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"

	"kforge.dev/kforge/pkg/bundle"
	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/etcd"
	"kforge.dev/kforge/pkg/event"
	"kforge.dev/kforge/pkg/graph"
	"kforge.dev/kforge/pkg/host"
	"kforge.dev/kforge/pkg/kube"
	"kforge.dev/kforge/pkg/spec"
	"kforge.dev/kforge/pkg/wire"
)

// executor does the steps of a graph: host work through the agents, cluster
// work through the API.
type executor struct {
	fleet   *fleet
	store   *bundle.Store
	run     string // id
	version string
	// settled are steps that the preview saw to be in place, after only such
	// steps on their host: they are not observed again, since the host's lock
	// has been held all the while.
	settled map[string]bool
	uploads slots // of files, over all hosts
	// local are files of this machine that are no artifacts, by digest.
	local map[string]string

	mu     sync.Mutex
	values map[string]string
	api    *kube.Cluster
	etcd   *etcd.Cluster
}

// Execute does one step; see engine.Executor.
func (x *executor) Execute(ctx context.Context, s graph.Step, sink event.Sink) (int, error) {
	if x.settled[s.ID] {
		return 0, nil
	}
	switch w := s.Work.(type) {
	case *spec.HostWork:
		return x.hostWork(ctx, s, w, sink)
	case *spec.KubeWork:
		return x.kubeWork(ctx, w, sink)
	case *spec.EtcdWork:
		return x.etcdWork(ctx, w, sink)
	default:
		return 0, diag.New(diag.Internal, "execute "+s.ID, "no executor for work of type %T", s.Work)
	}
}

func (x *executor) hostWork(ctx context.Context, s graph.Step, w *spec.HostWork, sink event.Sink) (int, error) {
	h, err := x.fleet.host(ctx, s.Host)
	if err != nil {
		return 0, err
	}
	resources, err := x.fill(w)
	if err != nil {
		return 0, err
	}
	todo, err := h.Plan(ctx, resources)
	if err != nil {
		return 0, err
	}
	if len(todo) == 0 {
		return 0, nil
	}
	return x.applyOn(ctx, h, resources, todo, sink)
}

// applyOn sends what the changes need and applies the resources. Blobs travel
// one ahead of the resource that is being applied, so that the network and the
// host's disk and CPU are busy at the same time.
func (x *executor) applyOn(ctx context.Context, h *host.Host, resources []spec.Resource, todo []spec.Change, sink event.Sink) (int, error) {
	needs := map[string][]string{} // by resource
	var digests []string
	for _, c := range todo {
		needs[c.Resource] = append(needs[c.Resource], c.NeedsBlobs...)
		digests = append(digests, c.NeedsBlobs...)
	}
	missing := map[string]bool{}
	if len(digests) > 0 {
		m, err := h.Missing(ctx, digests)
		if err != nil {
			return 0, err
		}
		for _, d := range m {
			missing[d] = true
		}
	}

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	blobs := blobsOf(resources)
	var queue []spec.Blob
	for _, r := range resources {
		for _, d := range needs[r.ID] {
			if missing[d] {
				missing[d] = false // send once
				queue = append(queue, blobs[d])
			}
		}
	}
	sent := make(chan error) // one per blob of the queue, in order
	var sender sync.WaitGroup
	sender.Go(func() {
		for _, b := range queue {
			err := x.put(ctx, h, b, sink)
			select {
			case sent <- err:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	})
	defer sender.Wait()
	defer cancel()

	changes := 0
	var batch []spec.Resource
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		made, err := h.Apply(ctx, wire.Apply{Resources: batch, Run: x.run, Version: x.version}, func(e wire.Event) { sink(hostEvent(e)) })
		changes += len(made)
		batch = nil
		return err
	}
	arrived := 0
	for _, r := range resources {
		for _, d := range needs[r.ID] {
			at := slices.IndexFunc(queue, func(b spec.Blob) bool { return b.Digest == d })
			for arrived <= at {
				if err := flush(); err != nil {
					return changes, err
				}
				select {
				case err := <-sent:
					if err != nil {
						return changes, err
					}
					arrived++
				case <-ctx.Done():
					return changes, ctx.Err()
				}
			}
		}
		batch = append(batch, r)
	}
	return changes, flush()
}

func (x *executor) put(ctx context.Context, h *host.Host, b spec.Blob, sink event.Sink) error {
	if err := x.uploads.take(ctx.Done()); err != nil {
		return err
	}
	defer x.uploads.give()
	content, err := x.content(b.Digest)
	if err != nil {
		return err
	}
	defer content.Close()
	title := "send " + b.Name
	return h.Put(ctx, b, io.NewSectionReader(content, 0, content.Size), func(done int64) {
		sink(event.Event{Event: event.Progress, Title: title, Done: done, Total: b.Size})
	})
}

// content opens what a blob holds: an artifact, a program inside kforge, or a file
// of this machine.
func (x *executor) content(digest string) (*bundle.Content, error) {
	if program, err := carried(digest); err != nil {
		return nil, err
	} else if program != nil {
		return &bundle.Content{ReaderAt: bytes.NewReader(program), Closer: io.NopCloser(nil), Size: int64(len(program))}, nil
	}
	path, ok := x.local[digest]
	if !ok {
		return x.store.Open(digest)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	fi, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	return &bundle.Content{ReaderAt: f, Closer: f, Size: fi.Size()}, nil
}

// blobsOf finds all blobs that resources name, by digest.
func blobsOf(resources []spec.Resource) map[string]spec.Blob {
	out := map[string]spec.Blob{}
	for _, r := range resources {
		switch {
		case r.File != nil && r.File.Blob != nil:
			out[r.File.Blob.Digest] = *r.File.Blob
		case r.Archive != nil:
			out[r.Archive.Blob.Digest] = r.Archive.Blob
		case r.Image != nil:
			out[r.Image.Blob.Digest] = r.Image.Blob
		}
	}
	return out
}

// fill puts the run's values into the inputs of commands.
func (x *executor) fill(w *spec.HostWork) ([]spec.Resource, error) {
	if len(w.Values) == 0 {
		return w.Resources, nil
	}
	x.mu.Lock()
	values := maps.Clone(x.values)
	x.mu.Unlock()
	for _, name := range w.Values {
		if _, ok := values[name]; !ok {
			return nil, diag.New(diag.Internal, "fill in values", "no step has given %q", name)
		}
	}
	out := slices.Clone(w.Resources)
	for i, r := range out {
		if r.Command == nil || len(r.Command.Inputs) == 0 {
			continue
		}
		c := *r.Command
		c.Inputs = maps.Clone(c.Inputs)
		for name, content := range c.Inputs {
			for key, value := range values {
				content = bytes.ReplaceAll(content, []byte(spec.ValueRef(key)), []byte(value))
			}
			c.Inputs[name] = content
		}
		out[i].Command = &c
	}
	return out, nil
}

func (x *executor) kubeWork(ctx context.Context, w *spec.KubeWork, sink event.Sink) (int, error) {
	api, err := x.cluster(ctx)
	if err != nil {
		return 0, err
	}
	changes, values, err := api.Apply(ctx, *w, func(e kube.Event) {
		if e.Change != nil {
			sink(event.Event{Event: event.Change, Change: e.Change})
		}
		if e.Message != "" {
			sink(event.Event{Event: event.Progress, Title: e.Message})
		}
	})
	x.mu.Lock()
	maps.Copy(x.values, values)
	x.mu.Unlock()
	return len(changes), err
}

// cluster gives the API client, made when the first control plane that can be
// reached has an admin.conf.
func (x *executor) cluster(ctx context.Context) (*kube.Cluster, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.api != nil {
		return x.api, nil
	}
	conf, err := x.fleet.adminConf(ctx)
	if err != nil {
		return nil, err
	}
	x.api, err = kube.Connect(conf, x.fleet.tunnel)
	return x.api, err
}

func (x *executor) close() {
	if x.api != nil {
		x.api.Close()
	}
	if x.etcd != nil {
		x.etcd.Close()
	}
}

func hostEvent(e wire.Event) event.Event {
	switch {
	case e.Change != nil:
		return event.Event{Event: event.Change, Change: e.Change}
	case e.Warning != "":
		return event.Event{Event: event.Warning, Text: e.Warning}
	case e.Output != "":
		return event.Event{Event: event.Output, Text: e.Output}
	default:
		return event.Event{Event: event.Progress, Title: strings.TrimSpace(e.Resource), Done: e.Done, Total: e.Total}
	}
}

// adminConfPath is where kubeadm leaves the admin's kubeconfig.
const adminConfPath = "/etc/kubernetes/admin.conf"

// adminConf reads the admin's kubeconfig from the first control plane that
// can be reached and has one.
func (f *fleet) adminConf(ctx context.Context) ([]byte, error) {
	var last error
	for _, cp := range f.planes() {
		if err := f.unreachable[cp.Name]; err != nil {
			last = err
			continue
		}
		h, err := f.host(ctx, cp.Name)
		if err != nil {
			last = err
			continue
		}
		conf, err := h.Read(ctx, adminConfPath, 1<<20)
		if err == nil {
			return conf, nil
		}
		last = err
	}
	if last == nil {
		last = diag.New(diag.NotFound, "read "+adminConfPath, "the inventory has no control plane")
	}
	return nil, &diag.Error{Kind: diag.KindOf(last), Op: "find the cluster's admin kubeconfig", Err: last,
		Hint: fmt.Sprintf("a control plane that has finished kubeadm init has %s", adminConfPath)}
}
