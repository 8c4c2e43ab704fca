// Package kubetest is a small Kubernetes API over TLS for tests: discovery,
// objects with server-side apply and dry run, watches that can be broken,
// /readyz and /version. It runs no controller: tests set the status of objects
// themselves. Server-side apply is approximated: mappings are merged, lists
// replaced, and what a manager no longer names is removed, whoever else owns it.
package kubetest

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Object is a Kubernetes object as decoded JSON.
type Object = map[string]any

// kinds served from the start: "group/version" to plural, kind, namespaced.
var builtin = map[string][]Kind{
	"v1": {
		{"nodes", "Node", false}, {"namespaces", "Namespace", false}, {"pods", "Pod", true},
		{"secrets", "Secret", true}, {"configmaps", "ConfigMap", true}, {"services", "Service", true},
		{"serviceaccounts", "ServiceAccount", true}, {"persistentvolumes", "PersistentVolume", false},
	},
	"apps/v1":                      {{"deployments", "Deployment", true}, {"daemonsets", "DaemonSet", true}},
	"coordination.k8s.io/v1":       {{"leases", "Lease", true}},
	"rbac.authorization.k8s.io/v1": {{"clusterroles", "ClusterRole", false}, {"clusterrolebindings", "ClusterRoleBinding", false}},
	"apiextensions.k8s.io/v1":      {{"customresourcedefinitions", "CustomResourceDefinition", false}},
}

// Kind of object that the server knows.
type Kind struct {
	Plural, Kind string
	Namespaced   bool
}

// Server is the API. Its methods may be called at any time.
type Server struct {
	*httptest.Server

	mu       sync.Mutex
	kinds    map[string][]Kind
	objects  map[string]Object // by path
	metrics  map[string]string // of kubelets, by node
	history  []event           // every change, for watches
	changed  chan struct{}     // closed and replaced at each change
	broken   chan struct{}     // closed and replaced to end all watches
	version  int               // of the last change
	mutating []string
	readyz   func() (int, string)
	warning  string
	control  func(path string, o Object) Object
	applied  map[string]map[string]Object // by path and manager
	budget   func(pod string) string
}

type event struct {
	kind string // ADDED, MODIFIED, DELETED
	path string
	obj  Object
}

// New starts a server that holds the usual namespaces. The test's end stops it.
func New(t testing.TB) *Server {
	t.Helper()
	s := Start()
	t.Cleanup(s.Stop)
	return s
}

// Start starts a server that holds the usual namespaces. The caller stops it.
func Start() *Server {
	s := &Server{
		kinds: maps.Clone(builtin), objects: map[string]Object{}, metrics: map[string]string{},
		applied: map[string]map[string]Object{},
		changed: make(chan struct{}), broken: make(chan struct{}),
		readyz: func() (int, string) { return http.StatusOK, "ok" },
		budget: func(string) string { return "" },
	}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // clients that refuse the certificate are part of tests
	s.StartTLS()
	for _, ns := range []string{"default", "kube-system"} {
		s.Put("/api/v1/namespaces/"+ns, Object{"apiVersion": "v1", "kind": "Namespace", "metadata": Object{"name": ns}})
	}
	return s
}

// Stop ends all watches and connections, and then the server.
func (s *Server) Stop() {
	s.BreakWatches()
	s.CloseClientConnections()
	s.Close()
}

// SetController is asked for the status of every object that is stored from now
// on; nil leaves it as it is. It must not call the server.
func (s *Server) SetController(status func(path string, o Object) Object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.control = status
}

// SetBudget decides on evictions: why a pod (namespace/name) may not go now, ""
// to let it go at once.
func (s *Server) SetBudget(why func(pod string) string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.budget = why
}

// CA is the server's certificate authority in PEM.
func (s *Server) CA() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
}

// Kubeconfig trusts the server, in the shape of kubeadm's admin.conf.
func (s *Server) Kubeconfig() []byte {
	raw, err := json.Marshal(Object{
		"apiVersion": "v1", "kind": "Config", "current-context": "kubernetes-admin@kubernetes",
		"clusters": []any{Object{"name": "kubernetes", "cluster": Object{"server": s.URL, "certificate-authority-data": s.CA()}}},
		"users":    []any{Object{"name": "kubernetes-admin", "user": Object{"token": "admin"}}},
		"contexts": []any{Object{"name": "kubernetes-admin@kubernetes",
			"context": Object{"cluster": "kubernetes", "user": "kubernetes-admin"}}},
	})
	if err != nil {
		panic(err) // maps of strings and bytes always encode
	}
	return raw
}

// Put creates or replaces an object behind the API's back: a controller's work.
func (s *Server) Put(path string, o Object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.store(path, clone(o))
}

// Get gives an object by path, nil when there is none.
func (s *Server) Get(path string) Object {
	s.mu.Lock()
	defer s.mu.Unlock()
	return clone(s.objects[path])
}

// Paths of all objects, sorted.
func (s *Server) Paths() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.objects))
}

// Mutations are the requests so far that changed something or could have:
// "PATCH /api/v1/nodes/n1". Dry runs are none.
func (s *Server) Mutations() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.mutating)
}

// SetReadyz decides what /readyz answers.
func (s *Server) SetReadyz(answer func() (code int, body string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readyz = answer
}

// SetMetrics decides what a node's kubelet tells of itself; it does not answer
// where nothing was set.
func (s *Server) SetMetrics(node, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.metrics[node] = text
}

// SetWarning is sent with every answer, "" for none.
func (s *Server) SetWarning(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.warning = text
}

// BreakWatches ends every open watch, as a restarting server does.
func (s *Server) BreakWatches() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.broken)
	s.broken = make(chan struct{})
}

// store keeps an object and tells watches. The lock is held.
func (s *Server) store(path string, o Object) {
	if s.control != nil {
		if status := s.control(path, o); status != nil {
			o["status"] = status
		}
	}
	s.version++
	kind := "ADDED"
	m := meta(o)
	if old, ok := s.objects[path]; ok {
		kind = "MODIFIED"
		m["uid"] = meta(old)["uid"]
	} else if m["uid"] == nil {
		m["uid"] = fmt.Sprintf("uid-%d", s.version)
	}
	m["resourceVersion"] = fmt.Sprint(s.version)
	s.objects[path] = o
	s.note(event{kind, path, clone(o)})
	s.serveCRD(o)
}

// serveCRD makes the kind that a CustomResourceDefinition defines known.
func (s *Server) serveCRD(o Object) {
	spec, ok := o["spec"].(Object)
	if o["kind"] != "CustomResourceDefinition" || !ok {
		return
	}
	names, _ := spec["names"].(Object)
	versions, _ := spec["versions"].([]any)
	for _, v := range versions {
		version, _ := v.(Object)
		gv := fmt.Sprintf("%v/%v", spec["group"], version["name"])
		k := Kind{fmt.Sprint(names["plural"]), fmt.Sprint(names["kind"]), spec["scope"] == "Namespaced"}
		if !slices.Contains(s.kinds[gv], k) {
			s.kinds[gv] = append(s.kinds[gv], k)
		}
	}
}

func (s *Server) remove(path string) {
	s.version++
	s.note(event{"DELETED", path, clone(s.objects[path])})
	delete(s.objects, path)
	delete(s.applied, path)
}

func (s *Server) note(e event) {
	s.history = append(s.history, e)
	close(s.changed)
	s.changed = make(chan struct{})
}

func meta(o Object) Object {
	m, ok := o["metadata"].(Object)
	if !ok {
		m = Object{}
		o["metadata"] = m
	}
	return m
}

// clone by way of JSON, so that numbers and lists look as they do to clients.
func clone(o Object) Object {
	if o == nil {
		return nil
	}
	raw, err := json.Marshal(o)
	if err != nil {
		panic(err) // objects came from JSON or from literals of a test
	}
	var out Object
	if err := json.Unmarshal(raw, &out); err != nil {
		panic(err)
	}
	return out
}

// collection is the path without the object's name.
func collection(path string) string { return path[:strings.LastIndexByte(path, '/')] }
