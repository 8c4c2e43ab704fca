package kubetest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"
)

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	ready, warning := s.readyz, s.warning
	s.mu.Unlock()
	if warning != "" {
		w.Header().Set("Warning", fmt.Sprintf(`299 - %q`, warning))
	}
	switch path := r.URL.Path; {
	case path == "/readyz":
		code, body := ready()
		w.WriteHeader(code)
		io.WriteString(w, body)
	case strings.HasPrefix(path, "/api/v1/nodes/") && strings.HasSuffix(path, "/proxy/metrics"):
		s.mu.Lock()
		metrics := s.metrics[strings.Split(path, "/")[4]]
		s.mu.Unlock()
		if metrics == "" {
			failure(w, http.StatusServiceUnavailable, "ServiceUnavailable", "the kubelet does not answer")
			return
		}
		io.WriteString(w, metrics)
	case path == "/version":
		answer(w, http.StatusOK, Object{"major": "1", "minor": "37", "gitVersion": "v1.37.2"})
	case path == "/api":
		answer(w, http.StatusOK, Object{"kind": "APIVersions", "versions": []string{"v1"}})
	case path == "/apis":
		s.groups(w)
	case strings.HasPrefix(path, "/api/") || strings.HasPrefix(path, "/apis/"):
		s.objectRequest(w, r)
	default:
		failure(w, http.StatusNotFound, "NotFound", path+" not found")
	}
}

// groups answers /apis: every group with its one version.
func (s *Server) groups(w http.ResponseWriter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	groups := []any{}
	for gv := range s.kinds {
		group, version, ok := strings.Cut(gv, "/")
		if !ok {
			continue
		}
		v := Object{"groupVersion": gv, "version": version}
		groups = append(groups, Object{"name": group, "versions": []any{v}, "preferredVersion": v})
	}
	answer(w, http.StatusOK, Object{"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

// objectRequest answers /api/v1/... and /apis/GROUP/VERSION/...
func (s *Server) objectRequest(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	gv, rest := parts[1], parts[2:]
	if parts[0] == "apis" {
		if len(parts) < 3 {
			failure(w, http.StatusNotFound, "NotFound", "no such path")
			return
		}
		gv, rest = parts[1]+"/"+parts[2], parts[3:]
	}
	s.mu.Lock()
	kinds, known := s.kinds[gv]
	s.mu.Unlock()
	if len(rest) == 0 && known {
		resources := []any{}
		for _, k := range kinds {
			resources = append(resources, Object{"name": k.Plural, "kind": k.Kind, "namespaced": k.Namespaced,
				"verbs": []string{"get", "list", "watch", "create", "patch", "delete"}})
		}
		answer(w, http.StatusOK, Object{"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": gv, "resources": resources})
		return
	}
	namespace := ""
	if len(rest) > 2 && rest[0] == "namespaces" {
		namespace, rest = rest[1], rest[2:]
	}
	at := slices.IndexFunc(kinds, func(k Kind) bool { return len(rest) > 0 && k.Plural == rest[0] })
	switch {
	case at >= 0 && len(rest) == 3 && rest[0] == "pods" && rest[2] == "eviction" && r.Method == http.MethodPost:
		s.evict(w, r, namespace+"/"+rest[1])
	case at < 0 || len(rest) > 2:
		failure(w, http.StatusNotFound, "NotFound", "the server could not find the requested resource")
	case len(rest) == 1 && r.Method == http.MethodPost:
		s.change(w, r, namespace)
	case len(rest) == 1 && r.URL.Query().Get("watch") != "":
		s.watch(w, r)
	case len(rest) == 1:
		s.list(w, r, gv, kinds[at].Kind)
	case r.Method == http.MethodGet:
		if o := s.Get(r.URL.Path); o != nil {
			answer(w, http.StatusOK, o)
			return
		}
		failure(w, http.StatusNotFound, "NotFound", fmt.Sprintf("%s %q not found", rest[0], rest[1]))
	default:
		s.change(w, r, namespace)
	}
}

// change answers POST, PATCH and DELETE.
func (s *Server) change(w http.ResponseWriter, r *http.Request, namespace string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	path, dry := r.URL.Path, r.URL.Query().Get("dryRun") != ""
	if !dry {
		s.mutating = append(s.mutating, r.Method+" "+path)
	}
	var body Object
	raw, err := io.ReadAll(r.Body)
	if err == nil && len(raw) > 0 {
		err = json.Unmarshal(raw, &body)
	}
	if err != nil {
		failure(w, http.StatusBadRequest, "BadRequest", err.Error())
		return
	}
	if r.Method == http.MethodPost {
		path += "/" + fmt.Sprint(meta(body)["name"])
	}
	live := s.objects[path]
	if live != nil && r.Method == http.MethodPost {
		failure(w, http.StatusConflict, "AlreadyExists", path+" already exists")
		return
	}
	apply := r.Header.Get("Content-Type") == "application/apply-patch+yaml"
	if live == nil && !apply && r.Method != http.MethodPost {
		failure(w, http.StatusNotFound, "NotFound", path+" not found")
		return
	}
	if namespace != "" && s.objects["/api/v1/namespaces/"+namespace] == nil {
		failure(w, http.StatusNotFound, "NotFound", fmt.Sprintf("namespaces %q not found", namespace))
		return
	}
	if r.Method == http.MethodDelete {
		conditions, _ := body["preconditions"].(Object)
		for _, field := range []string{"uid", "resourceVersion"} {
			if want := conditions[field]; want != nil && want != meta(live)[field] {
				failure(w, http.StatusConflict, "Conflict", "the "+field+" in the precondition does not match")
				return
			}
		}
		s.remove(path)
		answer(w, http.StatusOK, Object{"kind": "Status", "apiVersion": "v1", "status": "Success"})
		return
	}
	for _, field := range []string{"uid", "resourceVersion"} {
		if want := meta(body)[field]; want != nil && (live == nil || want != meta(live)[field]) {
			failure(w, http.StatusConflict, "Conflict", field+" does not match")
			return
		}
	}
	after := clone(live)
	if after == nil {
		after = Object{}
	}
	if manager := r.URL.Query().Get("fieldManager"); apply {
		prune(after, s.applied[path][manager], body)
		if !dry {
			if s.applied[path] == nil {
				s.applied[path] = map[string]Object{}
			}
			s.applied[path][manager] = clone(body)
		}
	}
	merge(after, body)
	if live != nil && !reflect.DeepEqual(after["spec"], live["spec"]) {
		generation, _ := meta(after)["generation"].(float64)
		meta(after)["generation"] = generation + 1
	}
	if apply {
		meta(after)["managedFields"] = []any{Object{"manager": r.URL.Query().Get("fieldManager"), "operation": "Apply"}}
	}
	if !dry && !reflect.DeepEqual(live, after) {
		s.store(path, after)
	}
	answer(w, http.StatusOK, after)
}

// evict answers an Eviction: the pod goes, unless the test's own budget keeps it.
func (s *Server) evict(w http.ResponseWriter, r *http.Request, pod string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	path := strings.TrimSuffix(r.URL.Path, "/eviction")
	s.mutating = append(s.mutating, r.Method+" "+r.URL.Path)
	if s.objects[path] == nil {
		failure(w, http.StatusNotFound, "NotFound", path+" not found")
		return
	}
	if why := s.budget(pod); why != "" {
		answer(w, http.StatusTooManyRequests, Object{"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": http.StatusTooManyRequests,
			"reason": "TooManyRequests", "message": "Cannot evict pod as it would violate the pod's disruption budget.",
			"details": Object{"causes": []any{Object{"reason": "DisruptionBudget", "message": why}}}})
		return
	}
	s.remove(path)
	answer(w, http.StatusCreated, Object{"kind": "Status", "apiVersion": "v1", "status": "Success"})
}

func merge(into, from Object) {
	for k, v := range from {
		if sub, ok := v.(Object); ok {
			if old, ok := into[k].(Object); ok {
				merge(old, sub)
				continue
			}
		}
		if v == nil {
			delete(into, k)
			continue
		}
		into[k] = v
	}
}

// prune takes out of an object what a manager applied before and does not name
// any more. That others may own it too is not known here.
func prune(from, before, now Object) {
	for k, old := range before {
		v, named := now[k]
		oldMap, _ := old.(Object)
		fromMap, _ := from[k].(Object)
		switch {
		case oldMap != nil && fromMap != nil:
			nowMap, _ := v.(Object)
			prune(fromMap, oldMap, nowMap)
		case !named && k != "uid" && k != "name":
			delete(from, k)
		}
	}
}

// everywhere is the collection of an object over all namespaces.
func everywhere(path string) string {
	before, rest, ok := strings.Cut(collection(path), "/namespaces/")
	if _, kind, more := strings.Cut(rest, "/"); ok && more {
		return before + "/" + kind
	}
	return collection(path)
}

// selected tells whether an object is asked for.
func selected(r *http.Request, path string, o Object) bool {
	if collection(path) != r.URL.Path && everywhere(path) != r.URL.Path {
		return false
	}
	if name, ok := strings.CutPrefix(r.URL.Query().Get("fieldSelector"), "metadata.name="); ok && meta(o)["name"] != name {
		return false
	}
	if node, ok := strings.CutPrefix(r.URL.Query().Get("fieldSelector"), "spec.nodeName="); ok {
		if spec, _ := o["spec"].(Object); spec["nodeName"] != node {
			return false
		}
	}
	labels, _ := meta(o)["labels"].(Object)
	for term := range strings.SplitSeq(r.URL.Query().Get("labelSelector"), ",") {
		if k, v, ok := strings.Cut(term, "="); ok && labels[k] != v {
			return false
		}
	}
	return true
}

func (s *Server) list(w http.ResponseWriter, r *http.Request, gv, kind string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	items := []any{}
	for path, o := range s.objects {
		if selected(r, path, o) {
			items = append(items, o)
		}
	}
	answer(w, http.StatusOK, Object{"kind": kind + "List", "apiVersion": gv, "items": items,
		"metadata": Object{"resourceVersion": fmt.Sprint(s.version)}})
}

// watch sends what changed after the version that the client has.
func (s *Server) watch(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	next, broken := 0, s.broken
	if _, err := fmt.Sscan(r.URL.Query().Get("resourceVersion"), &next); err != nil {
		next = s.version
	}
	s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	for {
		s.mu.Lock()
		events, changed := slices.Clone(s.history[next:]), s.changed // one event for each version
		next = len(s.history)
		s.mu.Unlock()
		for _, e := range events {
			if selected(r, e.path, e.obj) {
				json.NewEncoder(w).Encode(Object{"type": e.kind, "object": e.obj})
			}
		}
		w.(http.Flusher).Flush()
		select {
		case <-changed:
		case <-broken:
			return
		case <-r.Context().Done():
			return
		}
	}
}

func answer(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	json.NewEncoder(w).Encode(body)
}

func failure(w http.ResponseWriter, code int, reason, message string) {
	answer(w, code, Object{"kind": "Status", "apiVersion": "v1", "status": "Failure",
		"code": code, "reason": reason, "message": message})
}
