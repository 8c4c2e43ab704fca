package collect_test

import (
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"kforge.dev/kforge/pkg/resource/record"
	"kforge.dev/kforge/pkg/spec"
)

// everything is a host on which every collector finds something.
func everything(t *testing.T) *site {
	s := hadoop(t)
	s.pci("0000:34:00.0", "10de", "1db8", "030200", "0", "nvidia")
	s.pci("0000:5f:00.0", "10de", "1ac2", "068000", "-1", "nvidia-nvswitch")
	for name, dir := range map[string]string{"md0": "md/level", "dm-0": "dm/suspended"} {
		s.disk(name, "virtual/"+name, gib, nil)
		s.write(map[string]string{"/sys/block/" + name + "/" + dir: "1\n", "/sys/block/" + name + "/slaves/sdb/x": "", "/sys/block/sdb/holders/" + name + "/x": ""})
	}
	s.link("/dev/disk/by-id/wwn-0x5000c500a1b20000-part1", "../../sda1")
	net := "/sys/class/net/"
	s.link(net+"eth0/master", "../bond0")
	s.link(net+"eth0/device/driver", "../../../bus/pci/drivers/ixgbe")
	s.write(map[string]string{
		net + "eth0/flags": "0x1003\n", net + "eth0/address": "52:54:00:12:34:56\n", net + "eth0/mtu": "9000\n", net + "eth0/speed": "10000\n", net + "eth0/device/numa_node": "1\n",
		net + "cni0/flags": "0x1002\n", net + "eth9/flags": "0x1002\n", net + "eth9/device/x": "",
		"/proc/cpuinfo":                                                             "processor\t: 0\nmodel name\t: Xeon\nflags\t\t: fpu hypervisor\nphysical id\t: 0\ncore id\t: 0\n",
		"/sys/class/dmi/id/bios_version":                                            "2.9.0\n",
		"/sys/class/dmi/id/product_name":                                            "KVM\n",
		"/run/systemd/container":                                                    "lxc\n",
		"/sys/block/sda/removable":                                                  "1\n",
		"/sys/block/sda/ro":                                                         "1\n",
		"/sys/block/sda/sda2/holders/dm-0/x":                                        "",
		"/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq":                     "2900000\n",
		"/sys/devices/system/node/node1/cpulist":                                    "0-1\n",
		"/sys/devices/system/node/node1/meminfo":                                    "Node 1 MemTotal:  1000 kB\nNode 1 MemFree: 10 kB\n",
		"/sys/devices/system/node/node1/hugepages/hugepages-2048kB/nr_hugepages":    "4\n",
		"/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages":                    "4\n",
		"/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages":                  "1\n",
		"/sys/kernel/mm/transparent_hugepage/enabled":                               "always [madvise] never\n",
		"/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c": "\x06\x00\x00\x00\x01",
		"/sys/kernel/security/lockdown":                                             "none [integrity] confidentiality\n",
		"/sys/kernel/security/lsm":                                                  "lockdown,capability,apparmor\n",
		"/sys/fs/selinux/enforce":                                                   "1\n",
		"/sys/module/apparmor/parameters/enabled":                                   "Y\n",
		"/proc/cmdline":                                                             "root=/dev/sda1\n",
		"/proc/sys/net/netfilter/nf_conntrack_max":                                  "65536\n",
		"/dev/kmsg":                        "",
		"/etc/os-release":                  "ID=ubuntu\nID_LIKE=debian\nVERSION_ID=\"24.04\"\nPRETTY_NAME=\"Ubuntu 24.04\"\n",
		"/usr/bin/apt-get":                 "ELF",
		"/proc/swaps":                      "Filename\tType\tSize\tUsed\tPriority\n/dev/sdz partition 1000 10 -2\n",
		"/etc/systemd/system/dev-sdz.swap": "[Swap]\n",
		"/proc/driver/nvidia/gpus/0000:34:00.0/information":                     "Model: \t\t Tesla V100-SXM3-32GB-H\nGPU UUID: \t GPU-0c3b3a2c-1\n",
		"/proc/driver/nvidia/version":                                           "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65.06  Sun Jul 27 07:06:26 UTC 2025\n",
		"/etc/modprobe.d/nvidia.conf":                                           "blacklist nouveau\n",
		"/sys/module/nouveau/refcnt":                                            "1\n",
		"/lib/modules/6.1.0-25-amd64/modules.dep":                               "updates/dkms/nvidia.ko:\n",
		"/usr/bin/nvidia-container-runtime":                                     "ELF",
		"/sys/fs/cgroup/system.slice/nvidia-fabricmanager.service/cgroup.procs": "7\n",
		"/sys/fs/cgroup/system.slice/containerd.service/cgroup.procs":           "8\n",
		"/sys/fs/cgroup/system.slice/kubelet.service/cgroup.procs":              "9\n",
		"/usr/bin/containerd":                                                   "ELF",
		"/usr/lib/systemd/system/docker.service":                                "[Unit]\n",
		"/etc/kubernetes/admin.conf":                                            "x",
		"/etc/kubernetes/kubelet.conf":                                          "x",
		"/etc/kubernetes/manifests/etcd.yaml":                                   "    image: registry.k8s.io/etcd:3.7.0-0\n",
		"/etc/ufw/ufw.conf":                                                     "ENABLED=yes\n",
		"/proc/net/ip_tables_names":                                             "filter\n",
		"/lib/systemd/system/chrony.service":                                    "",
		"/run/chrony/chronyd.pid":                                               "1\n",
		"/etc/chrony/chrony.conf":                                               "server 10.0.0.1 iburst\nsourcedir /etc/chrony/sources.d\n",
		"/etc/resolv.conf":                                                      "nameserver 127.0.0.53\nsearch lan\noptions ndots:2\n",
		"/run/systemd/resolve/resolv.conf":                                      "nameserver 192.168.1.1\n",
		"/proc/net/tcp":                                                         "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   0: 0100007F:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 41 1 0 100 0 0 10 0\n",
	})
	s.write(map[string]string{
		"/etc/cni/net.d/10-flannel.conflist": spec.Header + "\n", "/proc/7/comm": "sshd\n",
		"/proc/net/route": "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\neth0\t00000000\t0100000A\t0003\t0\t0\t100\t00000000\t0\t0\t0\n",
		"/sys/devices/system/node/node1/hugepages/hugepages-2048kB/free_hugepages": "1\n",
	})
	s.link("/proc/7/fd/3", "socket:[41]")
	if err := os.Remove(filepath.Join(s.Root, "dev/sda3")); err != nil {
		t.Fatal(err)
	}
	store := record.Store{Root: s.Root}
	if err := store.SaveCommand(record.Command{ID: "command kubeadm init", Outcome: record.Begun, Begin: "2026-01-02T03:04:05Z"}); err != nil {
		t.Fatal(err)
	}
	return s
}

// elsewhere are the facts that this host does not show, with why.
var elsewhere = map[string]string{
	"containerd.version":         "asked of a program, on a running host",
	"kubernetes.kubeletVersion":  "asked of a program, on a running host",
	"firewall.inputDrop":         "asked of the kernel, on a running host",
	"interfaces.addresses":       "asked of the kernel, on a running host",
	"idleInterfaces":             "collected as interfaces are",
	"resolver.answers":           "asked of name servers: dns_test",
	"swap.fstab":                 "keeps swap from being automatic: TestForeignSoftware",
	"time.synced":                "asked of the kernel, on a running host",
	"time.maxErrorMicros":        "asked of the kernel, on a running host",
	"time.estimatedErrorMicros":  "asked of the kernel, on a running host",
	"time.sources.stratum":       "asked of the daemon: timesource_test",
	"time.sources.offsetSeconds": "asked of the daemon: timesource_test",
	"time.offsetSeconds":         "filled in by who asks",
	"time.roundTripSeconds":      "filled in by who asks",
}

// Every fact that is declared is collected.
func TestNoFactIsLeftWithoutACollector(t *testing.T) {
	t.Parallel()
	set := map[string]bool{}
	walk(reflect.ValueOf(everything(t).facts()), "", set)
	for _, path := range slices.Sorted(maps.Keys(set)) {
		group := path
		for elsewhere[group] == "" && strings.Contains(group, ".") {
			group = group[:strings.LastIndexByte(group, '.')]
		}
		switch told := elsewhere[group] != ""; {
		case !set[path] && !told:
			t.Errorf("%s: nothing filled it", path)
		case set[path] && told && group == path && path != "idleInterfaces":
			t.Errorf("%s: it is filled, and need not be named as one that is not", path)
		}
	}
}

// walk notes which fields, by their names in JSON, have a value somewhere.
func walk(v reflect.Value, at string, set map[string]bool) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			walk(v.Elem(), at, set)
		}
	case reflect.Slice:
		for i := range v.Len() {
			walk(v.Index(i), at, set)
		}
		if v.Len() == 0 && v.Type().Elem().Kind() == reflect.Struct {
			walk(reflect.Zero(v.Type().Elem()), at, set)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
			path := strings.TrimPrefix(at+"."+name, ".")
			set[path] = set[path] || !v.Field(i).IsZero()
			walk(v.Field(i), path, set)
		}
	}
}
