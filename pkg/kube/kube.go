// Package kube brings the objects of a cluster from what is to what should be:
// it observes by server-side dry runs, applies server-side, and waits by watch.
// It is the only package that reaches client-go, and the only one that talks to
// a Kubernetes API.
package kube

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/kube/live"
	"kforge.dev/kforge/pkg/spec"
)

// fieldManager owns in the cluster what kforge applies.
const fieldManager = "kforge"

// Dialer opens connections to the API server, through an SSH tunnel.
type Dialer func(ctx context.Context, network, addr string) (net.Conn, error)

// Event is progress of Apply: a message, a change just made, or both.
type Event struct {
	Message string
	Change  *spec.Change
}

// Live is what the planner needs to know of a running cluster.
type Live = live.State

// Cluster is the API of one cluster. It is safe for concurrent use.
type Cluster struct {
	config  *rest.Config
	http    *http.Client
	raw     rest.Interface
	dynamic dynamic.Interface
	mapper  *restmapper.DeferredDiscoveryRESTMapper
	pace    time.Duration // between attempts where nothing can be watched
}

// quiet keeps client-go's own log off the terminal: errors are returned, and
// what a person should know is told by events.
var quiet sync.Once

// Connect makes a client from an admin kubeconfig; dial nil means directly. It
// sends no request.
func Connect(kubeconfig []byte, dial Dialer) (*Cluster, error) {
	const op = "read kubeconfig"
	quiet.Do(func() { klog.SetLogger(logr.Discard()) })
	config, err := clientcmd.RESTConfigFromKubeConfig(kubeconfig)
	if err != nil {
		return nil, diag.Wrap(diag.Invalid, op, err).WithHint("it must be the admin.conf that kubeadm wrote")
	}
	config.Dial = dial
	config.UserAgent = "kforge"
	config.QPS = -1 // the API server's own fairness is the limit
	config.WarningHandlerWithContext = warnings{}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, diag.Wrap(diag.Invalid, op, err)
	}
	c := &Cluster{config: config, http: client, pace: defaultPace}
	if c.dynamic, err = dynamic.NewForConfigAndClient(config, client); err != nil {
		return nil, diag.Wrap(diag.Invalid, op, err)
	}
	d, err := discovery.NewDiscoveryClientForConfigAndClient(config, client)
	if err != nil {
		return nil, diag.Wrap(diag.Invalid, op, err)
	}
	c.raw = d.RESTClient()
	c.mapper = restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(d))
	return c, nil
}

// Close drops idle connections.
func (c *Cluster) Close() { c.http.CloseIdleConnections() }

// sinkKey finds the events of the Apply that a request belongs to.
type sinkKey struct{}

// warnings tells what the API server warns of (deprecated versions, unsafe
// settings) as events of the Apply that caused it. Outside of one they are
// dropped: what only looks gives no advice.
type warnings struct{}

func (warnings) HandleWarningHeaderWithContext(ctx context.Context, code int, _, text string) {
	if tell, ok := ctx.Value(sinkKey{}).(func(Event)); ok && code == 299 && text != "" {
		tell(Event{Message: fmt.Sprintf("the API server warns: %s", text)})
	}
}
