package kube

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kforge.dev/kforge/pkg/diag"
)

// The cluster lock is the Lease kube-system/kforge. Times in it are those of
// the API server's clock, so that two operators need not agree on the time.
const (
	leaseName   = "kforge"
	leaseExpiry = 60 * time.Second
	leaseRenew  = 15 * time.Second
	leaseWithin = 10 * time.Second // for one renewal
	leaseTries  = 5                // against others that take it at the same time
)

// Annotations of the Lease, for Holder.Gone.
const (
	annotationMachine = "kforge.dev/machine"
	annotationPID     = "kforge.dev/pid"
)

var leases = schema.GroupVersionResource{Group: coordinationv1.GroupName, Version: "v1", Resource: "leases"}

// Holder is who holds the lock.
type Holder struct {
	// Name is unique for each run and tells a person who it is.
	Name string
	// Machine identifies the machine since its last boot, and PID the process
	// on it: whoever runs there can tell whether the holder is gone.
	Machine string
	PID     int
}

// Lock is the cluster lock, held. It is renewed until Release.
type Lock struct {
	c     *Cluster
	me    Holder
	ahead time.Duration // the API server's clock before ours
	renew time.Duration
	lease *coordinationv1.Lease // as last written; the keeper's alone until it ended

	stop func()
	done sync.WaitGroup
}

// Lock takes the cluster lock. One that somebody else holds is an error of kind
// Locked that names the holder, unless it has expired or gone tells that its
// holder is no more (gone may be nil). When the lock is lost later, since it
// could not be renewed and somebody took it, lost is called once, from another
// goroutine.
func (c *Cluster) Lock(ctx context.Context, me Holder, gone func(Holder) bool, lost func(error)) (*Lock, error) {
	const op = "lock the cluster"
	ahead, err := c.clockAhead(ctx)
	if err != nil {
		return nil, apiError(ctx, op, err)
	}
	l := &Lock{c: c, me: me, ahead: ahead, renew: leaseRenew}
	for try := 1; ; try++ {
		l.lease, err = l.take(ctx, gone)
		if err == nil {
			break
		}
		raced := apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) || apierrors.IsNotFound(err)
		if diag.KindOf(err) == diag.Locked {
			return nil, err
		}
		if !raced || try == leaseTries {
			return nil, apiError(ctx, op, err)
		}
	}
	kctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	l.stop = cancel
	l.done.Go(func() { l.keep(kctx, lost) })
	return l, nil
}

// clockAhead tells by how much the API server's clock is before ours, to about
// a second.
func (c *Cluster) clockAhead(ctx context.Context) (time.Duration, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.config.Host+"/version", nil)
	if err != nil {
		return 0, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, err
	}
	resp.Body.Close()
	at, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return 0, fmt.Errorf("read the API server's clock: %w", err)
	}
	return time.Until(at), nil
}

func (l *Lock) now() time.Time { return time.Now().Add(l.ahead) }

// take makes the Lease, or takes over one that nobody holds any more.
func (l *Lock) take(ctx context.Context, gone func(Holder) bool) (*coordinationv1.Lease, error) {
	now := l.now()
	want := &coordinationv1.Lease{
		TypeMeta:   metav1.TypeMeta{APIVersion: coordinationv1.SchemeGroupVersion.String(), Kind: "Lease"},
		ObjectMeta: metav1.ObjectMeta{Name: leaseName, Namespace: metav1.NamespaceSystem},
	}
	found, err := l.c.getLease(ctx)
	switch {
	case err == nil:
		if !free(found, now) && (gone == nil || !gone(holderOf(found))) {
			return nil, lockedBy(found, now)
		}
		want.ObjectMeta = found.ObjectMeta
	case !apierrors.IsNotFound(err):
		return nil, err
	}
	seconds := int32(leaseExpiry / time.Second)
	at := metav1.NewMicroTime(now)
	want.Annotations = map[string]string{annotationMachine: l.me.Machine, annotationPID: strconv.Itoa(l.me.PID)}
	want.Spec = coordinationv1.LeaseSpec{HolderIdentity: &l.me.Name, LeaseDurationSeconds: &seconds, AcquireTime: &at, RenewTime: &at}
	return l.c.putLease(ctx, want)
}

// keep renews until ctx ends or the lock is lost. An API that does not answer
// is no loss: the run that works on it may be what restarts it.
func (l *Lock) keep(ctx context.Context, lost func(error)) {
	ticker := time.NewTicker(l.renew)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if err := l.prolong(ctx); diag.KindOf(err) == diag.Locked {
				lost(err)
				return
			}
		}
	}
}

func (l *Lock) prolong(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, leaseWithin)
	defer cancel()
	next := l.lease.DeepCopy()
	at := metav1.NewMicroTime(l.now())
	next.Spec.RenewTime = &at
	written, err := l.c.putLease(ctx, next)
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		// Deleted by hand, or written by somebody: perhaps by us, when only
		// the answer was lost.
		written, err = l.take(ctx, func(h Holder) bool { return h.Name == l.me.Name })
	}
	if err != nil {
		return err
	}
	l.lease = written
	return nil
}

// Release ends the renewals and removes the Lease, if it still is ours.
func (l *Lock) Release(ctx context.Context) error {
	l.stop()
	l.done.Wait()
	m := l.lease.ObjectMeta
	err := l.c.dynamic.Resource(leases).Namespace(m.Namespace).Delete(ctx, m.Name, metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: &m.UID, ResourceVersion: &m.ResourceVersion},
	})
	if err == nil || apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return apiError(ctx, "unlock the cluster", err)
}

// free tells whether nobody holds a Lease at a time.
func free(l *coordinationv1.Lease, now time.Time) bool {
	return holderOf(l).Name == "" || left(l, now) <= 0
}

// left is how long a Lease still holds. One that says nothing of it has ended.
func left(l *coordinationv1.Lease, now time.Time) time.Duration {
	if l.Spec.RenewTime == nil || l.Spec.LeaseDurationSeconds == nil {
		return 0
	}
	return l.Spec.RenewTime.Add(time.Duration(*l.Spec.LeaseDurationSeconds) * time.Second).Sub(now)
}

func holderOf(l *coordinationv1.Lease) Holder {
	h := Holder{Machine: l.Annotations[annotationMachine]}
	if l.Spec.HolderIdentity != nil {
		h.Name = *l.Spec.HolderIdentity
	}
	if pid, err := strconv.Atoi(l.Annotations[annotationPID]); err == nil {
		h.PID = pid
	}
	return h
}

func lockedBy(l *coordinationv1.Lease, now time.Time) error {
	since := ""
	if l.Spec.AcquireTime != nil {
		since = " since " + l.Spec.AcquireTime.UTC().Format(time.RFC3339)
	}
	return diag.New(diag.Locked, "lock the cluster", "%s works on it%s", holderOf(l).Name, since).
		WithHint("wait until it has ended; if it was killed, its lock ends by itself in %s", left(l, now).Round(time.Second))
}

func (c *Cluster) getLease(ctx context.Context) (*coordinationv1.Lease, error) {
	got, err := c.dynamic.Resource(leases).Namespace(metav1.NamespaceSystem).Get(ctx, leaseName, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	return leaseFrom(got)
}

// putLease creates a Lease without a version and updates one that has it.
func (c *Cluster) putLease(ctx context.Context, l *coordinationv1.Lease) (*coordinationv1.Lease, error) {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(l)
	if err != nil {
		return nil, diag.Wrap(diag.Internal, "write lease", err)
	}
	in := c.dynamic.Resource(leases).Namespace(metav1.NamespaceSystem)
	u := &unstructured.Unstructured{Object: content}
	var got *unstructured.Unstructured
	if l.ResourceVersion == "" {
		got, err = in.Create(ctx, u, metav1.CreateOptions{FieldManager: fieldManager})
	} else {
		got, err = in.Update(ctx, u, metav1.UpdateOptions{FieldManager: fieldManager})
	}
	if err != nil {
		return nil, err
	}
	return leaseFrom(got)
}

func leaseFrom(u *unstructured.Unstructured) (*coordinationv1.Lease, error) {
	l := &coordinationv1.Lease{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, l); err != nil {
		return nil, diag.Wrap(diag.Cluster, "read lease", err)
	}
	return l, nil
}
