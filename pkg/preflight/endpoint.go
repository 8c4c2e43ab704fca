package preflight

import (
	"net"
	"strconv"

	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/inventory"
)

// SiteEndpoint is where hosts have to reach the site's load balancer for the
// API; false when the cluster does not use one.
func SiteEndpoint(c *inventory.Cluster) (host string, port facts.Port, ok bool) {
	host, text, err := net.SplitHostPort(c.Endpoint)
	if err != nil || c.EndpointMode != inventory.EndpointExternal {
		return "", facts.Port{}, false
	}
	n, err := strconv.Atoi(text)
	return host, facts.Port{Proto: "tcp", Port: n}, err == nil
}

// endpoint is about the way there. Before the first control plane runs, a load
// balancer may refuse: some do when nobody is behind them.
func endpoint(in Input, h inventory.ResolvedHost, _ *facts.Host) []Finding {
	s, asked := in.Endpoint[h.Name]
	switch {
	case !asked || s.Open:
		return nil
	case s.Error == "refused" && !in.hasControlPlane():
		return warnf("make sure that it passes connections on to the control planes, port 6443, as soon as they run",
			"the API's endpoint %s refuses connections; no control plane runs yet", in.Cluster.Endpoint)
	}
	return errorf("let the load balancer listen there before apply, or name another one: spec.kubernetes.endpoint",
		"the API's endpoint %s is not reached: %s", in.Cluster.Endpoint, s.Error)
}

// hasControlPlane tells whether one of the hosts is a control plane already.
func (in Input) hasControlPlane() bool {
	for _, f := range in.Facts {
		if f != nil && f.Kubernetes.AdminConf {
			return true
		}
	}
	return false
}
