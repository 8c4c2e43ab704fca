package kube

import (
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// readiness is how one kind is judged. All of it is pure.
type readiness struct {
	resource schema.GroupVersionResource
	// judge tells whether the object is ready, its state in a few words, and
	// the selector of the pods that belong to it.
	judge func(u *unstructured.Unstructured) (verdict, error)
	// absent is the state of an object that is not there.
	absent string
	hint   string
}

// verdict on one observation.
type verdict struct {
	ready bool
	state string
	pods  *metav1.LabelSelector
}

// ofKubelet holds back the verdict on a node until its kubelet reports a version.
func (v verdict) ofKubelet(u *unstructured.Unstructured, want string) verdict {
	if want == "" {
		return v
	}
	got, _, err := unstructured.NestedString(u.Object, "status", "nodeInfo", "kubeletVersion")
	if err == nil && got != want {
		v.ready, v.state = false, fmt.Sprintf("its kubelet is %s, not yet %s", got, want)
	}
	return v
}

var readinessOf = map[string]readiness{
	"Node": {
		resource: nodes, judge: judging(judgeNode), absent: "it has not joined the cluster",
		hint: "look on that host: journalctl -u kubelet -u containerd",
	},
	"Deployment": {
		resource: appsv1.SchemeGroupVersion.WithResource("deployments"), judge: judging(judgeDeployment),
		absent: "it does not exist", hint: "see \"kubectl -n %s describe pods\" and the pods' logs",
	},
	"DaemonSet": {
		resource: appsv1.SchemeGroupVersion.WithResource("daemonsets"), judge: judging(judgeDaemonSet),
		absent: "it does not exist", hint: "see \"kubectl -n %s describe pods\" and the pods' logs",
	},
	"Pod": {
		resource: corev1.SchemeGroupVersion.WithResource("pods"), judge: judging(judgePod), absent: "it does not exist",
		hint: "see \"kubectl -n %s describe pod\" and its logs, or on its host: crictl ps -a; journalctl -u kubelet",
	},
}

func judging[T any](judge func(*T) verdict) func(*unstructured.Unstructured) (verdict, error) {
	return func(u *unstructured.Unstructured) (verdict, error) {
		var o T
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &o); err != nil {
			return verdict{}, fmt.Errorf("read %s: %w", title(u), err)
		}
		return judge(&o), nil
	}
}

// unwell are taints of a node that takes no pods, or is about to evict them, even
// though its condition may be Ready.
var unwell = map[string]string{
	corev1.TaintNodeNotReady:           "not ready",
	corev1.TaintNodeUnreachable:        "unreachable",
	corev1.TaintNodeNetworkUnavailable: "network unavailable",
	corev1.TaintNodeDiskPressure:       "disk pressure",
	corev1.TaintNodeMemoryPressure:     "memory pressure",
	corev1.TaintNodePIDPressure:        "PID pressure",
}

func judgeNode(n *corev1.Node) verdict {
	var wrong []string
	switch c := nodeCondition(n, corev1.NodeReady); {
	case c == nil:
		wrong = append(wrong, "the kubelet has not reported yet")
	case c.Status != corev1.ConditionTrue:
		wrong = append(wrong, fmt.Sprintf("Ready is %s: %s: %s", c.Status, c.Reason, c.Message))
	}
	for _, c := range n.Status.Conditions {
		if c.Type != corev1.NodeReady && c.Status == corev1.ConditionTrue {
			wrong = append(wrong, fmt.Sprintf("%s: %s", c.Type, c.Message))
		}
	}
	seen := map[string]bool{}
	for _, t := range n.Spec.Taints {
		if what, bad := unwell[t.Key]; bad && !seen[t.Key] {
			seen[t.Key] = true
			wrong = append(wrong, "tainted: "+what)
		}
	}
	if len(wrong) > 0 {
		return verdict{state: strings.Join(wrong, "; ")}
	}
	return verdict{ready: true, state: "ready"}
}

func judgeDeployment(d *appsv1.Deployment) verdict {
	want := int32(1)
	if d.Spec.Replicas != nil {
		want = *d.Spec.Replicas
	}
	s := d.Status
	return verdict{
		ready: s.ObservedGeneration >= d.Generation && s.UpdatedReplicas == want && s.AvailableReplicas == want && s.Replicas == want,
		state: fmt.Sprintf("%d/%d pods ready", min(s.AvailableReplicas, s.UpdatedReplicas), want),
		pods:  d.Spec.Selector,
	}
}

func judgeDaemonSet(d *appsv1.DaemonSet) verdict {
	s := d.Status
	v := verdict{
		ready: s.ObservedGeneration >= d.Generation && s.DesiredNumberScheduled > 0 &&
			s.NumberReady == s.DesiredNumberScheduled && s.UpdatedNumberScheduled == s.DesiredNumberScheduled,
		state: fmt.Sprintf("%d/%d pods ready", min(s.NumberReady, s.UpdatedNumberScheduled), s.DesiredNumberScheduled),
		pods:  d.Spec.Selector,
	}
	if s.DesiredNumberScheduled == 0 {
		v.state = "no node takes its pods yet"
	}
	return v
}

// judgePod wants a pod's containers running and ready, which those of a control
// plane are when their own health checks say so.
func judgePod(p *corev1.Pod) verdict {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
			return verdict{ready: true, state: "ready"}
		}
	}
	state := podTrouble(p)
	if state == "" {
		state = "not ready yet"
	}
	return verdict{state: state}
}

// podTrouble tells what keeps a pod from being ready, "" for nothing.
func podTrouble(p *corev1.Pod) string {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return fmt.Sprintf("%s: %s: %s", p.Name, c.Reason, c.Message)
		}
	}
	statuses := append(append([]corev1.ContainerStatus{}, p.Status.InitContainerStatuses...), p.Status.ContainerStatuses...)
	for _, s := range statuses {
		switch {
		case s.State.Waiting != nil && s.State.Waiting.Reason != "PodInitializing":
			text := fmt.Sprintf("%s: %s", p.Name, s.State.Waiting.Reason)
			if s.State.Waiting.Message != "" {
				text += ": " + s.State.Waiting.Message
			}
			if last := s.LastTerminationState.Terminated; last != nil {
				text += fmt.Sprintf(" (%s exited with %d", s.Name, last.ExitCode)
				if m := strings.TrimSpace(last.Message); m != "" {
					text += ": " + m
				}
				text += ")"
			}
			return text
		case s.State.Terminated != nil && s.State.Terminated.ExitCode != 0:
			return fmt.Sprintf("%s: %s exited with %d: %s", p.Name, s.Name, s.State.Terminated.ExitCode, s.State.Terminated.Reason)
		}
	}
	for _, s := range p.Status.ContainerStatuses {
		if !s.Ready {
			return fmt.Sprintf("%s: container %s is not ready", p.Name, s.Name)
		}
	}
	if len(p.Status.ContainerStatuses) == 0 && p.Status.Phase != corev1.PodSucceeded {
		return fmt.Sprintf("%s: %s: no container has started", p.Name, p.Status.Phase)
	}
	return ""
}
