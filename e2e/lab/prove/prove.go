// Package prove shows that a cluster of the lab works as its users need it: a
// pod on one node reaches a service by its DNS name, and the answer comes from a
// pod on another node.
package prove

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"text/template"
	"time"

	"golang.org/x/sync/errgroup"

	"kforge.dev/kforge/e2e/lab/host"
)

const (
	namespace = "kforge-proof"
	kubectl   = "kubectl"
	adminConf = "/etc/kubernetes/admin.conf"
	patience  = 2 * time.Minute // for a pod to run, on a busy machine
)

// Traffic runs a server on every node and, on every node, a client that asks
// for the next node's server through its service's DNS name. It prints a line
// for each pair, and removes what it made. registry is HOST:PORT of the lab's
// mirror, from which the hosts take the probe's image.
func Traffic(ctx context.Context, hosts []*host.Host, registry string, out io.Writer) error {
	image := registry + "/kforge.dev/lab/probe:v1"
	g, gctx := errgroup.WithContext(ctx)
	for _, h := range hosts {
		g.Go(func() error {
			if _, err := h.Exec(gctx, "ctr", "-n", "k8s.io", "images", "pull", "--plain-http", image); err != nil {
				return fmt.Errorf("loading the probe's image on %s: %w", h.Name, err)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	cp := hosts[0]
	if err := clean(ctx, cp); err != nil {
		return err
	}
	var manifest bytes.Buffer
	type pair struct{ Client, Server string }
	var pairs []pair
	for i, h := range hosts {
		pairs = append(pairs, pair{h.Name, hosts[(i+1)%len(hosts)].Name})
	}
	if err := objects.Execute(&manifest, map[string]any{"Namespace": namespace, "Image": image, "Pairs": pairs}); err != nil {
		return fmt.Errorf("writing the proof's manifest: %w", err)
	}
	if err := run(ctx, cp, &manifest, io.Discard, "apply", "-f", "-"); err != nil {
		return fmt.Errorf("starting the proof's pods: %w", err)
	}
	for _, p := range pairs {
		if err := run(ctx, cp, nil, io.Discard, "-n", namespace, "wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/client-"+p.Client, "--timeout", patience.String()); err != nil {
			var why bytes.Buffer
			run(ctx, cp, nil, &why, "-n", namespace, "get", "pods,events", "-o", "wide") // the first error is what counts
			return fmt.Errorf("pod on %s asking for the service on %s: %w\n%s", p.Client, p.Server, err, why.String())
		}
		var answer bytes.Buffer
		if err := run(ctx, cp, nil, &answer, "-n", namespace, "logs", "client-"+p.Client); err != nil {
			return fmt.Errorf("reading the answer on %s: %w", p.Client, err)
		}
		who := strings.Fields(answer.String())
		if len(who) != 2 || who[1] != p.Server {
			return fmt.Errorf("pod on %s asked for the service on %s and was answered %q", p.Client, p.Server, answer.String())
		}
		fmt.Fprintf(out, "traffic: pod on %s -> http://%s.%s.svc.cluster.local -> answered by pod %s on %s\n", p.Client, "on-"+p.Server, namespace, who[0], who[1])
	}
	return clean(ctx, cp)
}

func clean(ctx context.Context, cp *host.Host) error {
	if err := run(ctx, cp, nil, io.Discard, "delete", "namespace", namespace, "--ignore-not-found", "--wait", "--timeout", patience.String()); err != nil {
		return fmt.Errorf("removing the proof's pods: %w", err)
	}
	return nil
}

func run(ctx context.Context, cp *host.Host, stdin io.Reader, stdout io.Writer, args ...string) error {
	var stderr bytes.Buffer
	err := cp.Stream(ctx, stdin, stdout, &stderr, append([]string{kubectl, "--kubeconfig", adminConf}, args...)...)
	if err != nil {
		return fmt.Errorf("kubectl %s: %w: %s", args[0], err, strings.TrimSpace(stderr.String()))
	}
	return nil
}

var objects = template.Must(template.New("proof").Parse(`apiVersion: v1
kind: Namespace
metadata: {name: {{.Namespace}}}
{{- $top := .}}{{range .Pairs}}
---
apiVersion: v1
kind: Pod
metadata:
  name: server-{{.Server}}
  namespace: {{$top.Namespace}}
  labels: {probe: on-{{.Server}}}
spec:
  nodeName: {{.Server}}
  terminationGracePeriodSeconds: 1
  containers:
    - name: probe
      image: {{$top.Image}}
      imagePullPolicy: Never
      args: [serve]
      env:
        - name: NODE_NAME
          valueFrom: {fieldRef: {fieldPath: spec.nodeName}}
---
apiVersion: v1
kind: Service
metadata:
  name: on-{{.Server}}
  namespace: {{$top.Namespace}}
spec:
  selector: {probe: on-{{.Server}}}
  ports: [{port: 80, targetPort: 8080}]
---
apiVersion: v1
kind: Pod
metadata:
  name: client-{{.Client}}
  namespace: {{$top.Namespace}}
spec:
  nodeName: {{.Client}}
  restartPolicy: Never
  terminationGracePeriodSeconds: 1
  containers:
    - name: probe
      image: {{$top.Image}}
      imagePullPolicy: Never
      args: [get, "http://on-{{.Server}}.{{$top.Namespace}}.svc.cluster.local", -timeout, 90s]
{{- end}}
`))
