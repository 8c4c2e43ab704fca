package kube

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	bootstrapapi "k8s.io/cluster-bootstrap/token/api"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/spec"
)

// joinGroup is the group that kubeadm allows to ask for a node's certificate.
const joinGroup = "system:bootstrappers:kubeadm:default-node-token"

// defaultTokenTTL when the work names none.
const defaultTokenTTL = 2 * time.Hour

var secrets = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}

// joinToken makes a bootstrap token and the values that a join needs.
func (c *Cluster) joinToken(ctx context.Context, j spec.JoinToken, now time.Time) (spec.Change, map[string]string, error) {
	const op = "create bootstrap token"
	ca, err := c.ca()
	if err != nil {
		return spec.Change{}, nil, err
	}
	if len(ca) == 0 {
		return spec.Change{}, nil, diag.New(diag.Invalid, op, "the admin kubeconfig holds no CA, and a node must know whom to trust")
	}
	info, err := clusterInfo(cmp.Or(j.Server, c.config.Host), ca)
	if err != nil {
		return spec.Change{}, nil, err
	}
	id, secret := randomToken(6), randomToken(16)
	object := tokenSecret(id, secret, j, now)
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return spec.Change{}, nil, diag.Wrap(diag.Internal, op, err)
	}
	u := &unstructured.Unstructured{Object: content}
	_, err = c.dynamic.Resource(secrets).Namespace(metav1.NamespaceSystem).
		Create(ctx, u, metav1.CreateOptions{FieldManager: fieldManager})
	if err != nil {
		return spec.Change{}, nil, apiError(ctx, op, err)
	}
	values := map[string]string{
		spec.ValueJoinToken:   id + "." + secret,
		spec.ValueClusterInfo: string(info),
	}
	if j.CertificateKey {
		values[spec.ValueCertificateKey] = certificateKey()
	}
	return tokenChange(j, id), values, nil
}

// certificateKey gives an AES-256 key as kubeadm wants it: 64 hex digits.
func certificateKey() string {
	key := make([]byte, 32)
	rand.Read(key) // never fails, by its documentation
	return hex.EncodeToString(key)
}

func tokenChange(j spec.JoinToken, id string) spec.Change {
	name := "bootstrap token"
	if id != "" {
		name += " " + id
	}
	return spec.Change{Resource: name, Action: spec.Create, Why: j.Description,
		Detail: "valid for " + tokenTTL(j).String()}
}

func tokenTTL(j spec.JoinToken) time.Duration {
	if j.TTLSeconds <= 0 {
		return defaultTokenTTL
	}
	return time.Duration(j.TTLSeconds) * time.Second
}

func tokenSecret(id, secret string, j spec.JoinToken, now time.Time) *corev1.Secret {
	values := map[string]string{
		bootstrapapi.BootstrapTokenIDKey:               id,
		bootstrapapi.BootstrapTokenSecretKey:           secret,
		bootstrapapi.BootstrapTokenUsageAuthentication: "true",
		bootstrapapi.BootstrapTokenUsageSigningKey:     "true",
		bootstrapapi.BootstrapTokenExtraGroupsKey:      joinGroup,
		bootstrapapi.BootstrapTokenExpirationKey:       now.Add(tokenTTL(j)).UTC().Format(time.RFC3339),
	}
	if j.Description != "" {
		values[bootstrapapi.BootstrapTokenDescriptionKey] = j.Description
	}
	data := map[string][]byte{}
	for k, v := range values {
		data[k] = []byte(v)
	}
	return &corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{Name: bootstrapapi.BootstrapTokenSecretPrefix + id, Namespace: metav1.NamespaceSystem},
		Type:       bootstrapapi.SecretTypeBootstrapToken,
		Data:       data,
	}
}

// randomToken gives n characters of [a-z0-9], all equally likely: bytes that
// would favour the first characters are drawn again.
func randomToken(n int) string {
	const alphabet = "abcdefghijklmnopqrstuvwxyz0123456789"
	const fair = 256 - 256%len(alphabet)
	out := make([]byte, 0, n)
	buf := make([]byte, 2*n)
	for len(out) < n {
		rand.Read(buf) // never fails, by its documentation
		for _, b := range buf {
			if int(b) < fair && len(out) < n {
				out = append(out, alphabet[int(b)%len(alphabet)])
			}
		}
	}
	return string(out)
}
