package kube

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestJudgeNode(t *testing.T) {
	t.Parallel()
	ready := corev1.NodeCondition{Type: corev1.NodeReady, Status: corev1.ConditionTrue}
	for name, tt := range map[string]struct {
		conditions []corev1.NodeCondition
		taints     []string
		ready      bool
		state      string
	}{
		"ready":              {[]corev1.NodeCondition{ready}, nil, true, "ready"},
		"control plane":      {[]corev1.NodeCondition{ready}, []string{"node-role.kubernetes.io/control-plane"}, true, "ready"},
		"cordoned":           {[]corev1.NodeCondition{ready}, []string{"node.kubernetes.io/unschedulable"}, true, "ready"},
		"silent":             {nil, nil, false, "the kubelet has not reported yet"},
		"disk pressure":      {[]corev1.NodeCondition{ready}, []string{"node.kubernetes.io/disk-pressure"}, false, "tainted: disk pressure"},
		"not ready by taint": {[]corev1.NodeCondition{ready}, []string{"node.kubernetes.io/not-ready", "node.kubernetes.io/not-ready"}, false, "tainted: not ready"},
		"pressure by condition": {[]corev1.NodeCondition{ready, {Type: "MemoryPressure", Status: "True", Message: "low memory"}}, nil, false,
			"MemoryPressure: low memory"},
		"unknown": {[]corev1.NodeCondition{{Type: corev1.NodeReady, Status: "Unknown", Reason: "NodeStatusUnknown", Message: "kubelet stopped"}}, nil, false,
			"Ready is Unknown: NodeStatusUnknown: kubelet stopped"},
	} {
		n := &corev1.Node{Status: corev1.NodeStatus{Conditions: tt.conditions}}
		for _, key := range tt.taints {
			n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: key})
		}
		if got := judgeNode(n); got.ready != tt.ready || got.state != tt.state {
			t.Errorf("%s: got %v %q, want %v %q", name, got.ready, got.state, tt.ready, tt.state)
		}
	}
}

func TestJudgeDeployment(t *testing.T) {
	t.Parallel()
	two, none := int32(2), int32(0)
	for name, tt := range map[string]struct {
		replicas   *int32
		generation int64
		status     appsv1.DeploymentStatus
		ready      bool
		state      string
	}{
		"ready":          {&two, 3, appsv1.DeploymentStatus{ObservedGeneration: 3, Replicas: 2, UpdatedReplicas: 2, AvailableReplicas: 2}, true, "2/2 pods ready"},
		"one by default": {nil, 1, appsv1.DeploymentStatus{ObservedGeneration: 1, Replicas: 1, UpdatedReplicas: 1, AvailableReplicas: 1}, true, "1/1 pods ready"},
		"not observed":   {&two, 4, appsv1.DeploymentStatus{ObservedGeneration: 3, Replicas: 2, UpdatedReplicas: 2, AvailableReplicas: 2}, false, "2/2 pods ready"},
		"old ones serve": {&two, 3, appsv1.DeploymentStatus{ObservedGeneration: 3, Replicas: 3, UpdatedReplicas: 1, AvailableReplicas: 2}, false, "1/2 pods ready"},
		"old one goes":   {&two, 3, appsv1.DeploymentStatus{ObservedGeneration: 3, Replicas: 3, UpdatedReplicas: 2, AvailableReplicas: 2}, false, "2/2 pods ready"},
		"none wanted":    {&none, 1, appsv1.DeploymentStatus{ObservedGeneration: 1}, true, "0/0 pods ready"},
	} {
		d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Generation: tt.generation},
			Spec: appsv1.DeploymentSpec{Replicas: tt.replicas}, Status: tt.status}
		if got := judgeDeployment(d); got.ready != tt.ready || got.state != tt.state {
			t.Errorf("%s: got %v %q, want %v %q", name, got.ready, got.state, tt.ready, tt.state)
		}
	}
}

func TestJudgeDaemonSet(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		status appsv1.DaemonSetStatus
		ready  bool
		state  string
	}{
		"ready":    {appsv1.DaemonSetStatus{ObservedGeneration: 2, DesiredNumberScheduled: 3, UpdatedNumberScheduled: 3, NumberReady: 3}, true, "3/3 pods ready"},
		"no nodes": {appsv1.DaemonSetStatus{ObservedGeneration: 2}, false, "no node takes its pods yet"},
		"some":     {appsv1.DaemonSetStatus{ObservedGeneration: 2, DesiredNumberScheduled: 3, UpdatedNumberScheduled: 3, NumberReady: 2}, false, "2/3 pods ready"},
		"old pods": {appsv1.DaemonSetStatus{ObservedGeneration: 2, DesiredNumberScheduled: 3, UpdatedNumberScheduled: 1, NumberReady: 3}, false, "1/3 pods ready"},
		"old view": {appsv1.DaemonSetStatus{ObservedGeneration: 1, DesiredNumberScheduled: 3, UpdatedNumberScheduled: 3, NumberReady: 3}, false, "3/3 pods ready"},
	} {
		d := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Generation: 2}, Status: tt.status}
		if got := judgeDaemonSet(d); got.ready != tt.ready || got.state != tt.state {
			t.Errorf("%s: got %v %q, want %v %q", name, got.ready, got.state, tt.ready, tt.state)
		}
	}
}

func TestPodTrouble(t *testing.T) {
	t.Parallel()
	waiting := func(reason, message string) corev1.ContainerStatus {
		return corev1.ContainerStatus{Name: "c", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}}
	}
	for want, status := range map[string]corev1.PodStatus{
		"": {Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{{Name: "c", Ready: true}}},
		"p: Unschedulable: 0/3 nodes are available": {Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse,
			Reason: "Unschedulable", Message: "0/3 nodes are available"}}},
		"p: ImagePullBackOff: back-off pulling": {InitContainerStatuses: []corev1.ContainerStatus{waiting("ImagePullBackOff", "back-off pulling")},
			ContainerStatuses: []corev1.ContainerStatus{waiting("PodInitializing", "")}},
		"p: container c is not ready":          {ContainerStatuses: []corev1.ContainerStatus{{Name: "c"}}},
		"p: Pending: no container has started": {Phase: corev1.PodPending},
		"p: c exited with 2: Error": {ContainerStatuses: []corev1.ContainerStatus{{Name: "c",
			State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 2, Reason: "Error"}}}}},
	} {
		if got := podTrouble(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Status: status}); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
