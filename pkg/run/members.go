package run

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/etcd"
	"kforge.dev/kforge/pkg/event"
	"kforge.dev/kforge/pkg/node"
	"kforge.dev/kforge/pkg/spec"
)

// etcdClientPairs are the clients that kubeadm makes for etcd, in the order in
// which they are tried; etcdCA is what the members are known by.
var etcdClientPairs = []string{"/etc/kubernetes/pki/etcd/healthcheck-client", "/etc/kubernetes/pki/apiserver-etcd-client"}

const etcdCA = "/etc/kubernetes/pki/etcd/ca.crt"

// etcdPort is where members answer clients.
const etcdPort = "2379"

func (x *executor) etcdWork(ctx context.Context, w *spec.EtcdWork, sink event.Sink) (int, error) {
	members, err := x.members(ctx)
	if err != nil {
		return 0, err
	}
	made, err := members.Apply(ctx, *w)
	for i := range made {
		sink(event.Event{Event: event.Change, Change: &made[i]})
	}
	if err == nil && w.Snapshot != "" {
		err = saveSnapshot(ctx, members, w.Snapshot, sink)
	}
	return len(made), err
}

// saveSnapshot writes a snapshot, readable by its owner only, and reads it back as
// a restore would: the file, and its digest beside it, are there only when it is
// good.
func saveSnapshot(ctx context.Context, members *etcd.Cluster, path string, sink event.Sink) error {
	var saved etcd.Saved
	var contents etcd.Contents
	err := writeWhole(path, func(f *os.File) (err error) {
		if saved, err = members.Snapshot(ctx, f); err != nil {
			return err
		}
		contents, err = etcd.Verify(f.Name())
		return err
	})
	if err != nil {
		return err
	}
	err = writeWhole(path+SumSuffix, func(f *os.File) error {
		_, err := fmt.Fprintf(f, "%s  %s\n", saved.SHA256, filepath.Base(path))
		return err
	})
	if err != nil {
		return err
	}
	sink(event.Event{Event: event.Notice, Text: fmt.Sprintf("etcd saved in %s: %s, %d keys, revision %d, sha256 %s",
		path, etcd.Bytes(saved.Size), contents.Keys, contents.Revision, saved.SHA256)})
	return nil
}

// members gives the client of etcd's members, made when the first control plane
// that can be reached has the credentials for it.
func (x *executor) members(ctx context.Context) (*etcd.Cluster, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.etcd != nil {
		return x.etcd, nil
	}
	var err error
	x.etcd, err = x.fleet.etcd(ctx)
	return x.etcd, err
}

// etcd makes a client of etcd's members from what a control plane holds.
func (f *fleet) etcd(ctx context.Context) (*etcd.Cluster, error) {
	creds, err := f.etcdCredentials(ctx)
	if err != nil {
		return nil, err
	}
	var endpoints []string
	for _, cp := range f.planes() {
		if ip := f.nodeIP(cp.Name); ip != "" {
			endpoints = append(endpoints, "https://"+net.JoinHostPort(ip, etcdPort))
		}
	}
	return etcd.Connect(creds, endpoints, f.dialMember)
}

// nodeIP is the address of a host that was reached; "" for others.
func (f *fleet) nodeIP(name string) string {
	h, ok := f.cluster.Host(name)
	if facts := f.facts[name]; ok && facts != nil {
		return node.FindAddress(h, facts).IP
	}
	return ""
}

// etcdCredentials reads the pair of an etcd client from the first control plane
// that can be reached and has one.
func (f *fleet) etcdCredentials(ctx context.Context) (*etcd.Credentials, error) {
	var errs []error
	for _, cp := range f.planes() {
		if err := f.unreachable[cp.Name]; err != nil {
			errs = append(errs, err)
			continue
		}
		h, err := f.host(ctx, cp.Name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, pair := range etcdClientPairs {
			var read [3][]byte
			var err error
			for i, path := range []string{etcdCA, pair + ".crt", pair + ".key"} {
				if err == nil {
					read[i], err = h.Read(ctx, path, 1<<20)
				}
			}
			if err == nil {
				return &etcd.Credentials{CA: read[0], Cert: read[1], Key: read[2]}, nil
			}
			errs = append(errs, err)
		}
	}
	err := errors.Join(errs...)
	if err == nil {
		err = diag.New(diag.NotFound, "", "the inventory has no control plane")
	}
	return nil, &diag.Error{Kind: diag.KindOf(err), Op: "find the credentials of an etcd client", Err: err,
		Hint: "a control plane that has finished kubeadm init has " + etcdClientPairs[0] + ".crt"}
}

// dialMember reaches a member by way of its own host, which needs no network
// between control planes, else by way of any other.
func (f *fleet) dialMember(ctx context.Context, network, addr string) (net.Conn, error) {
	ip, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, diag.Wrap(diag.Internal, "dial "+addr, err)
	}
	for _, cp := range f.planes() {
		if f.unreachable[cp.Name] != nil || f.nodeIP(cp.Name) != ip {
			continue
		}
		h, err := f.host(ctx, cp.Name)
		if err != nil {
			break // the host is lost; its etcd may still answer the others
		}
		return h.DialContext(ctx, network, addr)
	}
	return f.tunnel(ctx, network, addr)
}
