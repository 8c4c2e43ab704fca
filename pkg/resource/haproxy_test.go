package resource_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kforge.dev/kforge/pkg/resource"
	"kforge.dev/kforge/pkg/spec"
)

// master answers as HAProxy's does. The real one is in the lab's tests.
func master(t *testing.T, socket string, has *string, reload func() string) {
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
				fmt.Fprintf(conn, "Name: HAProxy\nPid: 8\nnode: n1\ndescription: %s\n\n", *has)
			case "reload":
				fmt.Fprint(conn, reload())
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
	has, says := "old", "Success=0\n--\n[ALERT] unknown keyword 'sever'\n"
	master(t, socket, &has, func() string {
		if strings.HasPrefix(says, "Success=1") {
			has = "new"
		}
		return says
	})
	if changes, err := resource.Plan(t.Context(), f.env, []spec.Resource{r}); err != nil || details(changes) != "update reload" || has != "old" {
		t.Errorf("planned %s, %v", details(changes), err)
	}
	if _, err := f.apply(t, r); err == nil || !strings.Contains(err.Error(), "unknown keyword 'sever'") {
		t.Errorf("a reload that failed: %v", err)
	}
	says = "Success=1\n--\n[NOTICE] New worker (9) forked\n"
	if got := details(f.converge(t, r)); got != "update reload" {
		t.Errorf("got %q", got)
	}
	f.settled(t, r)
}
