package kube

import (
	"strings"
	"testing"
	"time"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/kube/kubetest"
)

const leasePath = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/kforge"

var (
	ada   = Holder{Name: "ada@desk: kforge apply (run 1, pid 7)", Machine: "desk-boot1", PID: 7}
	grace = Holder{Name: "grace@laptop: kforge apply (run 2, pid 9)", Machine: "laptop-boot1", PID: 9}
)

func never(t *testing.T) func(error) {
	return func(err error) { t.Errorf("the lock was lost: %v", err) }
}

// age puts the last renewal of the Lease into the past.
func age(s *kubetest.Server, by time.Duration) {
	o := s.Get(leasePath)
	o["spec"].(kubetest.Object)["renewTime"] = time.Now().Add(-by).UTC().Format("2006-01-02T15:04:05.000000Z07:00")
	s.Put(leasePath, o)
}

func TestLockNamesItsHolderAndIsGivenBack(t *testing.T) {
	t.Parallel()
	s := kubetest.New(t)
	c := connect(t, s)
	held, err := c.Lock(t.Context(), ada, nil, never(t))
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Lock(t.Context(), grace, func(h Holder) bool {
		if h != ada {
			t.Errorf("asked whether %+v is gone, want %+v", h, ada)
		}
		return false
	}, never(t))
	if diag.KindOf(err) != diag.Locked || !strings.Contains(err.Error(), ada.Name) || !strings.Contains(diag.Hint(err), "ends by itself in") {
		t.Errorf("second lock: %v (%q), hint %q", err, diag.KindOf(err), diag.Hint(err))
	}
	if err := held.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s.Get(leasePath) != nil {
		t.Error("the lease is left behind")
	}
	second, err := c.Lock(t.Context(), grace, nil, never(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestStaleLocksAreTakenOver(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		aged  time.Duration
		gone  func(Holder) bool
		taken bool
	}{
		{"renewed lately", 30 * time.Second, nil, false},
		{"expired", 65 * time.Second, nil, true},
		{"its process is gone", 0, func(h Holder) bool { return h.Machine == ada.Machine && h.PID == ada.PID }, true},
		{"from the future", -time.Hour, nil, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := kubetest.New(t)
			c := connect(t, s)
			var old Lock
			if l, err := c.Lock(t.Context(), ada, nil, never(t)); err != nil {
				t.Fatal(err)
			} else { // the holder is killed
				l.stop()
				l.done.Wait()
				old.c, old.me, old.lease = c, ada, l.lease
			}
			age(s, tt.aged)
			l, err := c.Lock(t.Context(), grace, tt.gone, never(t))
			if !tt.taken {
				if diag.KindOf(err) != diag.Locked {
					t.Fatalf("Lock = %v, want locked", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			// The old holder, if it only slept, learns of it.
			if err := old.prolong(t.Context()); diag.KindOf(err) != diag.Locked || !strings.Contains(err.Error(), grace.Name) {
				t.Errorf("the old holder's renewal: %v, want locked by %s", err, grace.Name)
			}
			if err := l.Release(t.Context()); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestLockIsRenewedAndHealed(t *testing.T) {
	t.Parallel()
	s := kubetest.New(t)
	c := connect(t, s)
	l, err := c.Lock(t.Context(), ada, nil, never(t))
	if err != nil {
		t.Fatal(err)
	}
	renewed := func() any { return s.Get(leasePath)["spec"].(kubetest.Object)["renewTime"] }
	before := renewed()
	if err := l.prolong(t.Context()); err != nil || renewed() == before {
		t.Errorf("renewal: %v, at %v as before", err, before)
	}
	age(s, 0) // written by us, with the answer lost: another version
	if err := l.prolong(t.Context()); err != nil {
		t.Errorf("renewal of a lease of ours of another version: %v", err)
	}
	if err := c.raw.Delete().AbsPath(leasePath).Do(t.Context()).Error(); err != nil {
		t.Fatal(err)
	}
	if err := l.prolong(t.Context()); err != nil || s.Get(leasePath) == nil {
		t.Errorf("renewal of a lease that was deleted: %v", err)
	}
	if err := l.Release(t.Context()); err != nil || s.Get(leasePath) != nil {
		t.Errorf("release: %v, left %v", err, s.Get(leasePath))
	}
}

func TestKeeperTellsOfALostLock(t *testing.T) {
	t.Parallel()
	s := kubetest.New(t)
	c := connect(t, s)
	lost := make(chan error, 1)
	l, err := c.Lock(t.Context(), ada, nil, func(err error) { lost <- err })
	if err != nil {
		t.Fatal(err)
	}
	l.stop()
	l.done.Wait()
	age(s, time.Hour)
	other, err := c.Lock(t.Context(), grace, nil, never(t))
	if err != nil {
		t.Fatal(err)
	}
	l.renew = time.Millisecond
	l.keep(t.Context(), func(err error) { lost <- err })
	if err := <-lost; diag.KindOf(err) != diag.Locked {
		t.Errorf("lost: %v, want locked", err)
	}
	if err := l.Release(t.Context()); err != nil || s.Get(leasePath) == nil {
		t.Errorf("a lock that was lost released the other's: %v", err)
	}
	if err := other.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
}
