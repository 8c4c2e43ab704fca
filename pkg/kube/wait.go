package kube

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/spec"
)

const (
	defaultReadyTimeout = 5 * time.Minute
	apiTimeout          = 5 * time.Minute // when the work names none
	// probeTimeout of one /readyz: a server that hangs is asked again.
	probeTimeout = 10 * time.Second
	// pace between attempts where nothing can be watched.
	defaultPace = time.Second
)

// waitAPI asks /readyz until it answers "ok". Refused connections and 5xx are
// what a starting server gives; a certificate that cannot be trusted ends it.
func (c *Cluster) waitAPI(ctx context.Context, seconds int, tell func(Event)) error {
	timeout := apiTimeout
	if seconds > 0 {
		timeout = time.Duration(seconds) * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	const op = "wait for the API server"
	ticker := time.NewTicker(c.pace)
	defer ticker.Stop()
	last := ""
	for {
		state, err := c.probe(ctx)
		if err != nil {
			return diag.Wrap(diag.Cluster, op, err).
				WithHint("the server at %s has another CA or name than the kubeconfig says", c.config.Host)
		}
		if state == "" {
			return nil
		}
		if state != last && ctx.Err() == nil {
			last = state
			tell(Event{Message: "waiting for the API server: " + state})
		}
		select {
		case <-ctx.Done():
			return (&diag.Error{Kind: diag.KindOf(ctx.Err()), Op: op, Msg: "last seen: " + last, Err: ctx.Err()}).
				WithHint("see on a control plane: crictl ps -a; journalctl -u kubelet")
		case <-ticker.C:
		}
	}
}

// probe gives "" when the server is ready, else why not; an error when waiting
// is of no use.
func (c *Cluster) probe(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	code := 0
	body, err := c.raw.Get().AbsPath("/readyz").MaxRetries(0).Do(ctx).StatusCode(&code).Raw()
	var authority x509.UnknownAuthorityError
	var hostname x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &authority), errors.As(err, &hostname), errors.As(err, &invalid):
		return "", err
	case err == nil && code == http.StatusOK:
		return "", nil
	case code == 0:
		return err.Error(), nil
	}
	var failed []string
	for line := range strings.Lines(string(body)) {
		if check, ok := strings.CutPrefix(strings.TrimSpace(line), "[-]"); ok {
			failed = append(failed, strings.Fields(check + " ")[0])
		}
	}
	if more := len(failed) - 3; more > 0 { // a starting server lists a dozen
		failed = append(failed[:3], fmt.Sprintf("and %d more", more))
	}
	if len(failed) > 0 {
		return "not ready: " + strings.Join(failed, ", "), nil
	}
	return fmt.Sprintf("it answers %d", code), nil
}

// waitAll waits for everything at once and gives all errors.
func (c *Cluster) waitAll(ctx context.Context, all []spec.Ready, tell func(Event)) error {
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, r := range all {
		wg.Go(func() { errs[i] = c.waitReady(ctx, r, tell) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// waitReady watches one object until it is ready or its time is over; then the
// error tells the last state seen, and what its pods lack.
func (c *Cluster) waitReady(ctx context.Context, r spec.Ready, tell func(Event)) error {
	name := r.Kind + " " + strings.TrimPrefix(r.Namespace+"/"+r.Name, "/")
	op := "wait for " + name
	rule, ok := readinessOf[r.Kind]
	if !ok {
		return diag.New(diag.Internal, op, "there is no rule for kind %q", r.Kind)
	}
	timeout := defaultReadyTimeout
	if r.TimeoutSeconds > 0 {
		timeout = time.Duration(r.TimeoutSeconds) * time.Second
	}
	deadline, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var last verdict
	if r.RenewedBy != "" {
		if err := c.waitRenewed(deadline, r, timeout, tell); err != nil && deadline.Err() == nil {
			return apiError(ctx, op, err)
		}
	}
	err := c.follow(deadline, c.at(rule.resource, r.Namespace), r.Name, func(u *unstructured.Unstructured) (bool, error) {
		v := verdict{state: rule.absent}
		if u != nil {
			var err error
			if v, err = rule.judge(u); err != nil {
				return false, err
			}
			v = v.ofKubelet(u, r.Kubelet)
		}
		if v.state != last.state {
			tell(Event{Message: name + ": " + v.state})
		}
		last = v
		return v.ready, nil
	})
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil: // the caller's end, not ours
		return diag.Wrap(diag.KindOf(ctx.Err()), op, context.Cause(ctx))
	case deadline.Err() == nil:
		return apiError(ctx, op, err)
	}
	msg := fmt.Sprintf("not ready after %s", timeout)
	for _, s := range append([]string{last.state}, c.troubles(ctx, r.Namespace, last.pods)...) {
		if s != "" {
			msg += "; " + s
		}
	}
	if !errors.Is(err, context.DeadlineExceeded) { // why there is nothing newer
		msg += "; " + err.Error()
	}
	hint := rule.hint
	if r.Namespace != "" {
		hint = fmt.Sprintf(hint, r.Namespace)
	}
	return diag.New(diag.Timeout, op, "%s", msg).WithHint("%s", hint)
}

func (c *Cluster) at(gvr schema.GroupVersionResource, namespace string) dynamic.ResourceInterface {
	if namespace == "" {
		return c.dynamic.Resource(gvr)
	}
	return c.dynamic.Resource(gvr).Namespace(namespace)
}

// follow shows every state of an object to see (nil when it is not there) until
// see is done. A broken watch, or a server that is away for a while (the first
// control plane restarts), is begun again; the error at the deadline is the last
// of these.
func (c *Cluster) follow(ctx context.Context, r dynamic.ResourceInterface, name string, see func(*unstructured.Unstructured) (bool, error)) error {
	only := metav1.ListOptions{FieldSelector: "metadata.name=" + name}
	var broken error
	for {
		done, err := watchOnce(ctx, r, only, see)
		var stop terminal
		switch {
		case done:
			return nil
		case errors.As(err, &stop):
			return stop.error
		case ctx.Err() == nil:
			broken = err
		}
		timer := time.NewTimer(c.pace)
		select {
		case <-ctx.Done():
			timer.Stop()
			if broken != nil {
				return broken
			}
			return ctx.Err()
		case <-timer.C:
		}
	}
}

// terminal is an error that another watch would only repeat.
type terminal struct{ error }

// watchOnce lists, then watches from there until the watch ends.
func watchOnce(ctx context.Context, r dynamic.ResourceInterface, only metav1.ListOptions, see func(*unstructured.Unstructured) (bool, error)) (bool, error) {
	list, err := r.List(ctx, only)
	if err != nil {
		return false, err
	}
	var first *unstructured.Unstructured
	if len(list.Items) > 0 {
		first = &list.Items[0]
	}
	if done, err := look(first, see); done || err != nil {
		return done, err
	}
	only.ResourceVersion = list.GetResourceVersion()
	w, err := r.Watch(ctx, only)
	if err != nil {
		return false, err
	}
	defer w.Stop()
	for {
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case e, open := <-w.ResultChan():
			if !open {
				return false, nil
			}
			u, _ := e.Object.(*unstructured.Unstructured)
			switch e.Type {
			case watch.Error:
				return false, apierrors.FromObject(e.Object)
			case watch.Deleted:
				u = nil
			case watch.Bookmark:
				continue
			}
			if done, err := look(u, see); done || err != nil {
				return done, err
			}
		}
	}
}

func look(u *unstructured.Unstructured, see func(*unstructured.Unstructured) (bool, error)) (bool, error) {
	done, err := see(u)
	if err != nil {
		return false, terminal{err}
	}
	return done, nil
}

// troubles tells of the pods that are not ready, at most five of them. It is
// asked after a deadline, so it has a short one of its own.
func (c *Cluster) troubles(ctx context.Context, namespace string, pods *metav1.LabelSelector) []string {
	if pods == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	gvr := corev1.SchemeGroupVersion.WithResource("pods")
	list, err := c.at(gvr, namespace).List(ctx, metav1.ListOptions{LabelSelector: metav1.FormatLabelSelector(pods)})
	if err != nil {
		return []string{"listing its pods: " + err.Error()}
	}
	var out []string
	for _, u := range list.Items {
		var p corev1.Pod
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &p); err != nil {
			out = append(out, u.GetName()+": "+err.Error())
			continue
		}
		if t := podTrouble(&p); t != "" {
			out = append(out, t)
		}
	}
	if len(list.Items) == 0 {
		out = append(out, "it has no pods")
	}
	if more := len(out) - 5; more > 0 {
		out = append(out[:5], fmt.Sprintf("and %d more", more))
	}
	return out
}
