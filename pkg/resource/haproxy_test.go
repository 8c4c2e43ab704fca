package resource_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"kforge.dev/kforge/pkg/resource"
	"kforge.dev/kforge/pkg/spec"
)

// master answers as HAProxy's does, and has "new" after a reload that succeeds. The real one is in the lab's tests.
func master(t *testing.T, socket string, has, says *atomic.Value) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(socket), 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			in := bufio.NewReader(conn)
			line, _ := in.ReadString('\n')
			switch strings.TrimSpace(line) {
			case "@1 show info":
				fmt.Fprintf(conn, "Name: HAProxy\nPid: 8\nnode: n1\ndescription: %s\n\n", has.Load())
			case "reload":
				said := says.Load().(string)
				if strings.HasPrefix(said, "Success=1") {
					has.Store("new")
				}
				fmt.Fprint(conn, said)
			default:
				fmt.Fprintf(conn, "Unknown command: %s", line)
			}
			_, _ = io.Copy(io.Discard, in) // it closes when the other side has
			conn.Close()
		}
	}()
}

func TestHAProxy(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	r := spec.Resource{ID: "load balancer", HAProxy: &spec.HAProxy{Socket: "/run/lb/master.sock", Digest: "new"}}
	f.settled(t, r) // none runs
	socket := filepath.Join(f.Root, r.HAProxy.Socket)
	var has, says atomic.Value
	has.Store("old")
	says.Store("Success=0\n--\n[ALERT] unknown keyword 'sever'\n")
	master(t, socket, &has, &says)
	if changes, err := resource.Plan(t.Context(), f.env, []spec.Resource{r}); err != nil || details(changes) != "update reload" || has.Load() != "old" {
		t.Errorf("planned %s, %v", details(changes), err)
	}
	if _, err := f.apply(t, r); err == nil || !strings.Contains(err.Error(), "unknown keyword 'sever'") {
		t.Errorf("a reload that failed: %v", err)
	}
	says.Store("Success=1\n--\n[NOTICE] New worker (9) forked\n")
	if got := details(f.converge(t, r)); got != "update reload" {
		t.Errorf("got %q", got)
	}
	f.settled(t, r)
}

// One whose pod is being replaced ends in the middle of a question: the next one
// reads the configuration by itself.
func TestHAProxyEnds(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	r := spec.Resource{ID: "load balancer", HAProxy: &spec.HAProxy{Socket: "/run/lb.sock", Digest: "new"}}
	socket := filepath.Join(f.Root, r.HAProxy.Socket)
	if err := os.MkdirAll(filepath.Dir(socket), 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan bool, 100)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				close(asked)
				return
			}
			asked <- true
			conn.Close()
		}
	}()
	f.settled(t, r)
	l.Close()
	n := 0
	for range asked {
		n++
	}
	if n == 0 {
		t.Error("nobody was asked")
	}
}
