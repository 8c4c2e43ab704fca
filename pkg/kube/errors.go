package kube

import (
	"context"
	"errors"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"

	"kforge.dev/kforge/pkg/diag"
)

// apiError gives an error of the API client its kind and a hint. What has a
// kind already keeps it.
func apiError(ctx context.Context, op string, err error) error {
	var status apierrors.APIStatus
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return diag.Wrap(diag.KindOf(ctx.Err()), op, err)
	case diag.KindOf(err) != diag.Unknown:
		return &diag.Error{Op: op, Err: err}
	case meta.IsNoMatchError(err):
		return diag.Wrap(diag.Unsupported, op, err).
			WithHint("the cluster does not serve this kind: apply its CustomResourceDefinition first, or check the version")
	case !errors.As(err, &status):
		return diag.Wrap(diag.Unreachable, op, err).
			WithHint("see on a control plane whether the API server runs: crictl ps -a --name kube-apiserver")
	case apierrors.IsNotFound(err):
		return diag.Wrap(diag.NotFound, op, err)
	case apierrors.IsUnauthorized(err), apierrors.IsForbidden(err):
		return diag.Wrap(diag.Permission, op, err).
			WithHint("the kubeconfig's user may not do this, or its certificate has expired: see \"kubeadm certs check-expiration\" on a control plane")
	case apierrors.IsTimeout(err), apierrors.IsServerTimeout(err):
		return diag.Wrap(diag.Timeout, op, err)
	case apierrors.IsServiceUnavailable(err), apierrors.IsTooManyRequests(err):
		return diag.Wrap(diag.Unreachable, op, err)
	default:
		return diag.Wrap(diag.Cluster, op, err).WithHint("the API server refused the object: its message says why")
	}
}
