#!/bin/bash
# The floor: the shortest parallel shell script that makes a Kubernetes cluster of the lab's bare hosts, from the same mirror,
# over the same SSH. It checks nothing, survives nothing and knows this one site by heart: its time is what a tool that does all
# that has to be measured against.
#
#   go run ./e2e/lab up -n 3 && e2e/floor/floor.sh [n1 n2 n3]      the first host becomes the control plane
#   e2e/floor/floor.sh --add n1 n3                                 the bare host n3 joins the running cluster of n1
#
# It ends where kforge ends: all nodes Ready, flannel and CoreDNS rolled out; of an added host, its node Ready.
# Prints the seconds of each phase. The download is kept in $FLOOR_CACHE and not counted in the total.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
state=${KFORGE_LAB_STATE:-$root/.lab}
mirror=${KFORGE_LAB_MIRROR:-http://10.88.17.1:5080}
kubernetes=${KUBERNETES_VERSION:-v1.37.2} containerd=2.4.2 runc=v1.5.2 cni=v1.9.1 flannel=v0.26.7
cache=${FLOOR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kforge-floor}/$kubernetes
add=
if [ "${1:-}" = --add ]; then add=$3 && set -- "$2"; fi
hosts=("$@")
[ $# -gt 0 ] || hosts=(n1 n2 n3)
first=${hosts[0]} others=("${hosts[@]:1}")
work=$(mktemp -d)
trap 'jobs=$(jobs -p); [ -z "$jobs" ] || kill $jobs 2>/dev/null; rm -rf "$work"' EXIT

on() { ssh -c aes128-gcm@openssh.com -F "$state/ssh_config" -o LogLevel=ERROR "$@"; }
now() { date +%s.%N; }
begin=$(now) last=$begin
phase() {
	local t; t=$(now)
	awk -v n="$1" -v a="$last" -v b="$t" 'BEGIN { printf "%-28s %6.1f s\n", n, b - a }'
	last=$t
}
# all PID... waits for every one and fails if one failed.
all() { for pid; do wait "$pid"; done; }

# blob REPO DIGEST and manifest REPO REFERENCE fetch from the mirror's registry into the OCI layout $layout.
blob() { [ -e "$layout/blobs/sha256/${2#*:}" ] || curl -fsS -o "$layout/blobs/sha256/${2#*:}" "$mirror/v2/$1/blobs/$2"; }
manifest() { curl -fsS -H 'Accept: application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json' "$mirror/v2/$1/manifests/$2"; }

# images FILE REF... writes an archive that ctr imports.
images() {
	local file=$1 layout=$work/layout ref repo index digest entries=
	shift
	rm -rf "$layout" && mkdir -p "$layout/blobs/sha256"
	for ref; do
		repo=${ref%:*}
		manifest "$repo" "${ref##*:}" >"$work/index"
		index=$(sha256sum <"$work/index" | cut -d' ' -f1)
		cp "$work/index" "$layout/blobs/sha256/$index"
		digest=$(grep -o 'sha256:[0-9a-f]*' "$work/index" | head -1)
		manifest "$repo" "$digest" >"$layout/blobs/sha256/${digest#*:}"
		for b in $(grep -o 'sha256:[0-9a-f]*' "$layout/blobs/sha256/${digest#*:}"); do blob "$repo" "$b"; done
		entries+=${entries:+,}"{\"mediaType\":\"application/vnd.oci.image.index.v1+json\",\"digest\":\"sha256:$index\",\"size\":$(stat -c %s "$work/index"),\"annotations\":{\"io.containerd.image.name\":\"$ref\"}}"
	done
	echo '{"imageLayoutVersion":"1.0.0"}' >"$layout/oci-layout"
	echo "{\"schemaVersion\":2,\"manifests\":[$entries]}" >"$layout/index.json"
	tar -C "$layout" -cf "$file" oci-layout index.json blobs
}

# download lays out $cache/tree as it will lie on every host, and the image archives beside it.
download() {
	local tree=$cache.tmp/tree bin=$cache.tmp/tree/usr/local/bin gh=$mirror/github.com
	rm -rf "$cache.tmp" && mkdir -p "$bin" "$tree"/{opt/cni/bin,etc/containerd,etc/kubernetes,etc/sysctl.d,etc/systemd/system/kubelet.service.d}
	for name in kubeadm kubelet kubectl; do
		curl -fsS -o "$bin/$name" "$mirror/dl.k8s.io/release/$kubernetes/bin/linux/amd64/$name"
		echo "$(curl -fsS "$mirror/dl.k8s.io/release/$kubernetes/bin/linux/amd64/$name.sha256")  $bin/$name" | sha256sum -c --quiet
	done
	curl -fsS "$gh/containerd/containerd/releases/download/v$containerd/containerd-$containerd-linux-amd64.tar.gz" | tar -xz -C "$bin" --strip-components=1
	curl -fsS -o "$bin/runc" "$gh/opencontainers/runc/releases/download/$runc/runc.amd64"
	curl -fsS "$gh/containernetworking/plugins/releases/download/$cni/cni-plugins-linux-amd64-$cni.tgz" | tar -xz -C "$tree/opt/cni/bin"
	curl -fsS -o "$cache.tmp/kube-flannel.yml" "$gh/flannel-io/flannel/releases/download/$flannel/kube-flannel.yml"
	chmod 0755 "$bin"/*
	cat >"$tree/etc/containerd/config.toml" <<-'END'
		version = 3
		[plugins.'io.containerd.cri.v1.images'.pinned_images]
		sandbox = 'registry.k8s.io/pause:3.10.2'
		[plugins.'io.containerd.cri.v1.runtime']
		restrict_oom_score_adj = true
		[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
		runtime_type = 'io.containerd.runc.v2'
		[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
		SystemdCgroup = true
	END
	cat >"$tree/etc/systemd/system/containerd.service" <<-'END'
		[Unit]
		After=network.target
		[Service]
		Type=notify
		ExecStart=/usr/local/bin/containerd
		Delegate=yes
		KillMode=process
		Restart=always
		TasksMax=infinity
		[Install]
		WantedBy=multi-user.target
	END
	cat >"$tree/etc/systemd/system/kubelet.service" <<-'END'
		[Unit]
		After=containerd.service
		[Service]
		Environment="KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf --kubeconfig=/etc/kubernetes/kubelet.conf"
		EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
		ExecStart=/usr/local/bin/kubelet $KUBELET_KUBECONFIG_ARGS --config=/var/lib/kubelet/config.yaml $KUBELET_KUBEADM_ARGS
		Restart=always
		RestartSec=1
		[Install]
		WantedBy=multi-user.target
	END
	echo 'net.ipv4.ip_forward = 1' >"$tree/etc/sysctl.d/99-kubernetes.conf"
	# Never the loopback server that the hosts have: CoreDNS would ask itself.
	echo "nameserver 10.88.17.1" >"$tree/etc/kubernetes/resolv.conf"

	local k=registry.k8s.io
	local pods=($k/pause:3.10.2 $k/kube-proxy:$kubernetes ghcr.io/flannel-io/flannel:$flannel ghcr.io/flannel-io/flannel-cni-plugin:v1.6.2-flannel1 $k/coredns/coredns:v1.14.6)
	images "$cache.tmp/pods.tar" "${pods[@]}"
	images "$cache.tmp/control-plane.tar" $k/pause:3.10.2 $k/etcd:3.7.0-0 $k/kube-{apiserver,controller-manager,scheduler}:$kubernetes
	rm -rf "$cache" && mv "$cache.tmp" "$cache"
}

# prepare HOST [TAR OPTION...]: programs, configuration, a running containerd.
prepare() {
	tar -C "$cache/tree" "${@:2}" -c . | on "$1" 'tar -x --no-same-owner --no-overwrite-dir -C / && sysctl -qp /etc/sysctl.d/99-kubernetes.conf && systemctl daemon-reload && systemctl enable -q kubelet containerd && systemctl start containerd'
}
import() { on "$1" 'ctr -n k8s.io images import - 2>&1' <"$cache/$2.tar" >/dev/null; }

config() {
	cat <<-END
		apiVersion: kubeadm.k8s.io/v1beta4
		kind: InitConfiguration
		localAPIEndpoint: {advertiseAddress: $address}
		---
		apiVersion: kubeadm.k8s.io/v1beta4
		kind: ClusterConfiguration
		kubernetesVersion: $kubernetes
		encryptionAlgorithm: ECDSA-P256
		networking: {podSubnet: 10.244.0.0/16}
		---
		apiVersion: kubelet.config.k8s.io/v1beta1
		kind: KubeletConfiguration
		cgroupDriver: systemd
		failCgroupV1: false
		resolvConf: /etc/kubernetes/resolv.conf
		evictionHard: {memory.available: 100Mi, nodefs.available: 1Gi, nodefs.inodesFree: "1000", imagefs.available: 1Gi, imagefs.inodesFree: "1000"}
		---
		apiVersion: kubeproxy.config.k8s.io/v1alpha1
		kind: KubeProxyConfiguration
		mode: nftables
		conntrack: {maxPerCore: 0}
	END
}

[ -d "$cache" ] || download
phase "download (not counted)"
begin=$last
address=$(awk -v h="$first" '$1 == "Host" { this = $2 == h } this && $1 == "HostName" { print $2 }' "$state/ssh_config")

# worker HOST: its own pace; it waits for the first host only when it is ready to join.
worker() {
	prepare "$1" --exclude kubectl && import "$1" pods
	until [ -e "$work/token" ]; do sleep 0.1; done
	# A discovery file, because the signature that discovery by token wants comes late and is asked for every 5 s only.
	on "$1" "cat >/etc/kubernetes/discovery.conf && kubeadm join --discovery-file /etc/kubernetes/discovery.conf \
		--tls-bootstrap-token $(cat "$work/token") --ignore-preflight-errors=all" <"$work/discovery" >"$work/join-$1.log" 2>&1 || { cat "$work/join-$1.log"; exit 1; }
}

if [ -n "$add" ]; then
	on "$first" 'export KUBECONFIG=/etc/kubernetes/admin.conf
		kubectl -n kube-public get configmap cluster-info -o "jsonpath={.data.kubeconfig}"; echo; kubeadm token create --ttl 10m' >"$work/init"
	head -n -1 "$work/init" >"$work/discovery"
	tail -n 1 "$work/init" >"$work/token"
	phase "$first: token"
	worker "$add"
	phase "$add: programs, images, join"
	on "$first" "export KUBECONFIG=/etc/kubernetes/admin.conf
		kubectl wait --for=create --timeout=60s node/$add && kubectl wait --for=condition=Ready --timeout=300s node/$add" >/dev/null
	phase "wait for Ready"
	last=$begin
	phase "total"
	exit
fi

pids=()
for host in "${others[@]}"; do
	worker "$host" &
	pids+=($!)
done
prepare "$first"
phase "$first: programs, containerd"
import "$first" control-plane
phase "$first: control plane images"
import "$first" pods &
pids+=($!)
config | on "$first" 'cat >/etc/kubernetes/kubeadm.yaml && kubeadm init --config /etc/kubernetes/kubeadm.yaml --ignore-preflight-errors=all >/root/init.log 2>&1 || { cat /root/init.log >&2; exit 1; }
	export KUBECONFIG=/etc/kubernetes/admin.conf; kubectl -n kube-public get configmap cluster-info -o "jsonpath={.data.kubeconfig}"; echo; grep -o "[a-z0-9]\{6\}\.[a-z0-9]\{16\}" /root/init.log | head -1' >"$work/init"
head -n -1 "$work/init" >"$work/discovery"
tail -n 1 "$work/init" >"$work/token.new" && mv "$work/token.new" "$work/token"
phase "$first: kubeadm init"
on "$first" 'kubectl --kubeconfig /etc/kubernetes/admin.conf apply --validate=false -f -' <"$cache/kube-flannel.yml" >/dev/null &
pids+=($!)
all "${pids[@]}"
phase "flannel, kubeadm join"
nodes=("${hosts[@]/#/node/}")
# A join may end before its Node exists, and --for=create takes one name only.
on "$first" "export KUBECONFIG=/etc/kubernetes/admin.conf
	for node in ${nodes[*]}; do kubectl wait --for=create --timeout=60s \$node || exit 1; done
	kubectl wait --for=condition=Ready --timeout=300s ${nodes[*]}" >/dev/null
phase "wait for Ready"
on "$first" "export KUBECONFIG=/etc/kubernetes/admin.conf
	kubectl -n kube-flannel rollout status --timeout=300s daemonset/kube-flannel-ds & flannel=\$!
	kubectl -n kube-system rollout status --timeout=300s deployment/coredns && wait \$flannel" >/dev/null
phase "wait for flannel, CoreDNS"
last=$begin
phase "total"
