package plan

import (
	"io/fs"
	"net"
	"path"
	"strconv"
	"strings"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/graph"
	"kforge.dev/kforge/pkg/kubeadm"
	"kforge.dev/kforge/pkg/node"
	"kforge.dev/kforge/pkg/spec"
)

// Restored is a cluster that is to come back where nothing of it is left.
type Restored struct {
	Snapshot spec.Blob
	// PKI are the cluster's CAs and keys by path; none where they are there.
	PKI []PKIFile
	// Nodes of the snapshot: hosts that join anew are forgotten first.
	Nodes []string
	Stamp string
	Bump  int64
}

// PKIFile is one of them.
type PKIFile struct {
	Path    string
	Content []byte
}

// restore adds what comes before kubeadm init where a cluster comes back: its
// keys, and etcd's data with this host as the only member. The others join it
// as new ones.
func (b *builder) restore(h *host) error {
	image, ok := kubeadm.Image(h.images, "etcd")
	if !ok {
		return diag.New(diag.NotFound, "plan restore", "no etcd image for %s", h.facts.Kernel.Arch).On(h.Name)
	}
	in := b.in.Restore
	var resources []spec.Resource
	if kubeadm.HalfDone(h.facts) {
		resources = append(resources, kubeadm.Reset(b.kubeadm(h)))
	}
	for _, f := range in.PKI {
		mode := fs.FileMode(0o600)
		if strings.HasSuffix(f.Path, ".crt") || strings.HasSuffix(f.Path, ".pub") {
			mode = 0o644
		}
		resources = append(resources, spec.Resource{
			ID: "file " + f.Path, Why: "workers and tokens trust this cluster's own keys",
			File: &spec.File{Path: f.Path, Mode: mode, Content: f.Content, Secret: true},
		})
	}
	member := kubeadm.EtcdMember{Name: h.Name, PeerURL: "https://" + net.JoinHostPort(h.ip, "2380"), DataDir: "/var/lib/etcd", Image: image}
	r := restoring{
		in:      RestoreInput{Snapshot: in.Snapshot, Stamp: in.Stamp, Bump: in.Bump},
		host:    RestoreHost{Name: h.Name, TimeoutScale: h.TimeoutScale, Member: member},
		cluster: member.Name + "=" + member.PeerURL,
	}
	b.add(h, "data", PhaseEtcd, ClassHost, "the cluster's keys, and its data from the snapshot",
		&spec.HostWork{Resources: append(append(resources, r.data()...), r.swap()...)})
	return nil
}

// Paths of a restore on control planes.
const (
	restoreDir  = "/var/lib/kforge/restore"
	restoreFile = restoreDir + "/snapshot.db"
	// RestoreAside is where manifests wait while nothing may run.
	RestoreAside = "/etc/kubernetes/kforge-restore"
)

// endedSeconds is how long static pods may take to end: kubeadm gives the API
// server a minute to let its requests end.
const endedSeconds = 150

// RestoreHost is a control plane whose static pods are there.
type RestoreHost struct {
	Name         string
	TimeoutScale float64
	Member       kubeadm.EtcdMember
}

// RestoreInput says what is put back, and where.
type RestoreInput struct {
	Hosts    []RestoreHost
	Snapshot spec.Blob
	// Stamp names this restore: what it replaces is kept as
	// member.before-restore-STAMP.
	Stamp string
	// Bump is added to the snapshot's revision; see Bump.
	Bump int64
}

// Bump is what a restore at a time, in milliseconds since 1970, adds to the
// revision of its snapshot. Whoever watches from before must find its own
// revision in the past: one from the future would wait without a word until the
// cluster has caught up. So the cluster goes on from the time itself, which is
// beyond what an earlier restore went on from, whatever its snapshot was, as
// long as less than 1,000 writes a second were made in between.
// Where the clock is far off, it is the week of 1,500 writes a second that etcd's
// own documentation takes.
func Bump(revision, millis int64) int64 {
	if millis > revision {
		return millis - revision
	}
	return 1_000_000_000
}

// Restore gives the steps that put a snapshot in place of the data of all
// members. Nothing is stopped before every host has shown that it can restore
// the file; all members stop before any begins anew, since one that runs on
// would be of another cluster.
func Restore(in RestoreInput) []graph.Step {
	var cluster []string
	for _, h := range in.Hosts {
		cluster = append(cluster, h.Member.Name+"="+h.Member.PeerURL)
	}
	members := strings.Join(cluster, ",")
	var steps []graph.Step
	var ready, stopped, started []string
	for _, h := range in.Hosts {
		r := restoring{in: in, host: h, cluster: members}
		ready = append(ready, h.Name+"/data")
		steps = append(steps, graph.Step{
			ID: h.Name + "/data", Host: h.Name, Phase: PhaseEtcd, Class: ClassHost, Title: "data of etcd from the snapshot, beside what is there",
			Work: &spec.HostWork{Resources: r.data()},
		})
	}
	for _, h := range in.Hosts {
		stopped = append(stopped, h.Name+"/stop")
		steps = append(steps, graph.Step{
			ID: h.Name + "/stop", Host: h.Name, Phase: PhaseEtcd, Class: ClassHost, Title: "control plane stops", Needs: ready,
			Work: &spec.HostWork{Resources: stop(h)},
		})
	}
	for _, h := range in.Hosts {
		r := restoring{in: in, host: h, cluster: members}
		started = append(started, h.Name+"/start")
		steps = append(steps, graph.Step{
			ID: h.Name + "/start", Host: h.Name, Phase: PhaseEtcd, Class: ClassHost, Title: "control plane starts with the snapshot's data", Needs: stopped,
			Work: &spec.HostWork{Resources: append(r.swap(), start()...)},
		})
	}
	slowest := 1.0
	for _, h := range in.Hosts {
		slowest = max(slowest, h.TimeoutScale)
	}
	return append(steps,
		graph.Step{
			ID: "cluster/etcd-healthy", Phase: PhaseEtcd, Class: ClassWait, Title: "etcd is healthy", Needs: started,
			Work: &spec.EtcdWork{Healthy: &spec.EtcdHealthy{Voters: len(in.Hosts), TimeoutSeconds: node.Scale(300, slowest)}},
		},
		graph.Step{
			ID: apiStep, Phase: PhaseEtcd, Class: ClassKube, Title: "API answers", Needs: []string{"cluster/etcd-healthy"},
			Work: &spec.KubeWork{WaitAPI: true, WaitAPISeconds: node.Scale(apiSeconds, slowest)},
		})
}

// restoring is one member's part.
type restoring struct {
	in      RestoreInput
	host    RestoreHost
	cluster string // all members as etcd's --initial-cluster has them
}

// staging is where the data is made: inside the data directory, which may be a
// file system of its own.
func (r restoring) staging() string { return stagingDir(r.host.Member.DataDir, r.in.Stamp) }

func stagingDir(data, name string) string { return path.Join(data, "kforge-restore-"+name) }

// data makes the member's new data beside the old, by the tool in etcd's own
// image: its version is that of the etcd that will read it.
func (r restoring) data() []spec.Resource {
	m, staging := r.host.Member, r.staging()
	blob := r.in.Snapshot
	return []spec.Resource{
		{ID: "directory " + restoreDir, Directory: &spec.Directory{Path: restoreDir, Mode: 0o700}},
		{ID: "file " + restoreFile, Why: "to be restored", File: &spec.File{Path: restoreFile, Mode: 0o600, Blob: &blob, Secret: true}},
		{ID: "directory " + m.DataDir, Directory: &spec.Directory{Path: m.DataDir, Mode: 0o700}},
		// All members' data must be of one restore.
		{ID: "absent " + stagingDir(m.DataDir, "*"), Why: "of a restore that broke off", Absent: &spec.Absent{Paths: []string{stagingDir(m.DataDir, "*")}}},
		{
			ID: "command etcdutl snapshot restore", Why: "data of member " + m.Name + " of " + r.cluster,
			Command: &spec.Command{
				Argv: []string{
					"ctr", "--namespace", "k8s.io", "run", "--rm",
					"--mount", "type=bind,src=" + restoreDir + ",dst=" + restoreDir + ",options=rbind:ro",
					"--mount", "type=bind,src=" + m.DataDir + ",dst=" + m.DataDir + ",options=rbind:rw",
					m.Image, "kforge-restore-" + r.in.Stamp,
					"/usr/local/bin/etcdutl", "snapshot", "restore", restoreFile,
					"--name", m.Name, "--initial-cluster", r.cluster, "--initial-advertise-peer-urls", m.PeerURL,
					"--initial-cluster-token", "kforge-restore-" + r.in.Stamp,
					"--bump-revision", strconv.FormatInt(r.in.Bump, 10), "--mark-compacted", "--data-dir", staging,
				},
				Env:            []string{kubeadm.SearchPath},
				Unless:         []string{path.Join(staging, "member/snap/db")},
				Recover:        []string{"rm", "-rf", "--", staging},
				TimeoutSeconds: node.Scale(600, r.host.TimeoutScale),
				Hint:           "nothing was stopped and nothing replaced: see what etcdutl says, and run the same again",
			},
		},
	}
}

// swap puts the new data in place of the old, which is kept.
func (r restoring) swap() []spec.Resource {
	member := path.Join(r.host.Member.DataDir, "member")
	gone := &spec.File{Path: restoreFile, Absent: true}
	return []spec.Resource{
		{
			ID: "move " + member, Why: "etcd goes on from the snapshot",
			Move: &spec.Move{From: path.Join(r.staging(), "member"), To: member, Keep: member + ".before-restore-" + r.in.Stamp},
		},
		{ID: "absent " + r.staging(), Absent: &spec.Absent{EmptyDirs: []string{r.staging()}}},
		{ID: "no file " + restoreFile, Why: "it holds the cluster's secrets", File: gone},
	}
}

// stop moves the static pods of the control plane aside, the API server's first,
// and waits for their end.
func stop(h RestoreHost) []spec.Resource {
	out := []spec.Resource{{ID: "directory " + RestoreAside, Directory: &spec.Directory{Path: RestoreAside, Mode: 0o700}}}
	for i := len(kubeadm.StaticPods) - 1; i >= 0; i-- {
		name := kubeadm.StaticPods[i]
		out = append(out, spec.Resource{
			ID: "move " + path.Join(kubeadm.ManifestDir, name), Why: "it must not run while its data is replaced",
			Move: &spec.Move{From: path.Join(kubeadm.ManifestDir, name), To: path.Join(RestoreAside, name)},
		})
	}
	return append(out, spec.Resource{
		ID: "end of the control plane",
		Ended: &spec.Ended{
			Addresses: []string{"127.0.0.1:" + kubeadm.APIPort, h.Member.Clients},
			// The kubelet's own folders of static pods: when they are gone, it has
			// seen that the manifests are. Pods of the API have longer names.
			Paths:          staticPodDirs(),
			TimeoutSeconds: node.Scale(endedSeconds, h.TimeoutScale),
		},
	})
}

func staticPodDirs() []string {
	var out []string
	for _, name := range kubeadm.StaticPods {
		out = append(out, "/var/lib/kubelet/pods/"+strings.Repeat("?", 32)+"/containers/"+strings.TrimSuffix(name, ".yaml"))
	}
	return out
}

func start() []spec.Resource {
	var out []spec.Resource
	for _, name := range kubeadm.StaticPods {
		out = append(out, spec.Resource{
			ID: "move back " + path.Join(kubeadm.ManifestDir, name), Why: "the kubelet starts it",
			Move: &spec.Move{From: path.Join(RestoreAside, name), To: path.Join(kubeadm.ManifestDir, name)},
		})
	}
	return append(out, spec.Resource{ID: "absent " + RestoreAside, Absent: &spec.Absent{EmptyDirs: []string{RestoreAside}}})
}
