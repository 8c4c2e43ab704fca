package inventory

import (
	"maps"
	"slices"
)

// checkRules are the names that checks may tune, and whether a rule has limits.
// The rules themselves live in preflight, where a test holds them against this
// list: the inventory must know a misspelt name before any host is reached.
var checkRules = map[string]bool{
	"reach": false, "architecture": false, "systemd": false, "kernel": false, "cgroup-v1": false, "cgroup-controllers": false, "kmsg": false,
	"resources": false, "disk": false, "inodes": false, "node-address": false, "foreign-containerd": false,
	"conflict": false, "foreign-kubelet": false, "stale-join": false, "port-held": false, "swap": false,
	"resolver": false, "dns-servers": false, "dns-limits": false, "dns-names": false, "dns-external": false, "endpoint": false,
	"dns-wildcard": false, "time-sync": false, "time-servers": false, "time-answers": false, "time-sources": false, "dns-hosts": false, "certificate-clock": false, "fsync": true,
	"secure-boot": false, "updatedb": false, "hostname": false,
	"clock": true, "machine-id": false, "product-uuid": false, "mac": false, "ports": false, "path-mtu": false,
	"link": false, "route": false, "round-trip": true,
}

// CheckRules gives the names of all rules that checks may tune, sorted.
func CheckRules() []string { return slices.Sorted(maps.Keys(checkRules)) }

// CheckHasLimits tells whether a rule has the limits warn and fail.
func CheckHasLimits(rule string) bool { return checkRules[rule] }
