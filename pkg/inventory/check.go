package inventory

import (
	"fmt"
	"net/netip"
	"path"
	"regexp"
	"slices"
	"strings"

	"kforge.dev/kforge/pkg/diag"
)

// checker finds what is wrong in an inventory whose form is right, all of it
// in one go. Values that the walker could not take are left out: they have
// their error already.
type checker struct {
	w        *walker
	inv      *Inventory
	c        *Cluster
	home     string
	warnings []Warning
}

// fail notes an error at the place where path was written, or the nearest
// place above it.
func (ch *checker) fail(at, format string, args ...any) {
	ch.failHint("", at, format, args...)
}

func (ch *checker) failHint(hint, at, format string, args ...any) {
	if ch.spoiled(at) {
		return
	}
	err := diag.New(diag.Invalid, "", format, args...).At(ch.pos(at))
	err.Hint = hint
	ch.w.errs.Add(err)
}

// failKey notes an error about the free key at path: a class, a label.
func (ch *checker) failKey(at, format string, args ...any) {
	if !ch.spoiled(parent(at)) {
		ch.w.errs.Add(diag.New(diag.Invalid, "", format, args...).At(ch.w.keyPos[at]))
	}
}

// must notes err, if any, as an error of the value at path.
func (ch *checker) must(at string, err error) {
	if err != nil {
		ch.fail(at, "%s: %v", at, err)
	}
}

func (ch *checker) warn(at, format string, args ...any) {
	ch.warnings = append(ch.warnings, Warning{Pos: ch.pos(at), Msg: fmt.Sprintf(format, args...)})
}

// pos finds where path, or else what holds it, stands in the file.
func (ch *checker) pos(at string) diag.Position {
	for ; at != ""; at = parent(at) {
		if p, ok := ch.w.pos[at]; ok {
			return p
		}
	}
	return ch.w.pos[""]
}

// spoiled reports whether path or what holds it has an error of form.
func (ch *checker) spoiled(at string) bool {
	for ; at != ""; at = parent(at) {
		if ch.w.bad[at] {
			return true
		}
	}
	return ch.w.bad[""]
}

// clean reports whether nothing at path or below has an error of form.
func (ch *checker) clean(at string) bool {
	for bad := range ch.w.bad {
		if bad == at || strings.HasPrefix(bad, at+".") || strings.HasPrefix(bad, at+"[") {
			return false
		}
	}
	return !ch.spoiled(at)
}

func parent(at string) string { return at[:max(0, strings.LastIndexAny(at, ".["))] }

// given reports whether the user wrote a value at path that could be taken.
func (ch *checker) given(at string) bool {
	_, ok := ch.w.pos[at]
	return ok && !ch.spoiled(at)
}

// cluster checks what holds for the cluster as a whole.
func (ch *checker) cluster() {
	ch.clusterName()
	ch.kubernetes()
	ch.network()
	ch.snapshots()
	ch.certificates()
	ch.ssh()
	if at := "spec.dns.manageHosts"; ch.c.ManageHostDNS && len(ch.c.DNSServers) == 0 {
		ch.failHint("name them: spec.dns.servers", at, "%s: there are no servers that hosts could ask", at)
	}
	ch.timeServers("spec.time", ch.inv.Spec.Time)
	for at, text := range map[string]string{
		"spec.apply.maxUnavailable": ch.inv.Spec.Apply.MaxUnavailable, "spec.upgrade.maxUnavailable": ch.inv.Spec.Upgrade.MaxUnavailable,
	} {
		if ch.given(at) {
			_, err := Share(text, len(ch.c.Hosts))
			ch.must(at, err)
		}
	}
	for i, s := range ch.c.DNSServers {
		at := fmt.Sprintf("spec.dns.servers[%d]", i)
		addr, err := netip.ParseAddr(s)
		switch {
		case err != nil:
			ch.fail(at, "%s: %s is not an IP address", at, quote(s))
		case addr.IsLoopback():
			ch.fail(at, "%s: %s is a loopback address, which pods cannot reach", at, addr)
		case addr.IsUnspecified() || addr.IsMulticast():
			ch.fail(at, "%s: %s is not the address of a server", at, addr)
		case slices.Contains(ch.c.DNSServers[:i], s):
			ch.fail(at, "%s: %s is given twice", at, addr)
		}
	}
	if m := ch.inv.Spec.Artifacts.Mirror; m != "" {
		ch.must("spec.artifacts.mirror", checkMirror(m))
	}
}

func (ch *checker) clusterName() {
	name := ch.inv.Metadata.Name
	if ch.given("metadata.name") && !dnsLabel.MatchString(name) {
		ch.fail("metadata.name", "metadata.name: %s is not a DNS label (a-z, 0-9 and - inside, at most 63 characters)", quote(name))
	}
}

func (ch *checker) kubernetes() {
	k := ch.inv.Spec.Kubernetes
	if at := "spec.kubernetes.version"; ch.given(at) {
		v, newer, err := ResolveVersion(k.Version)
		ch.must(at, err)
		if newer {
			ch.warn(at, "Kubernetes %s is newer than this kforge knows (%s)", v, newestPatch[strings.TrimPrefix(v[:strings.LastIndexByte(v, '.')], "v")])
		}
	}
	if at := "spec.kubernetes.endpoint"; ch.given(at) {
		host, _, err := splitHostPort(k.Endpoint)
		if err == nil {
			err = checkAddress(host)
		}
		ch.must(at, err)
	}
	ch.endpointMode()
	for i, san := range k.CertSANs {
		at := fmt.Sprintf("spec.kubernetes.certSANs[%d]", i)
		if _, err := netip.ParseAddr(san); err != nil && ch.given(at) {
			ch.must(at, checkDNSName(strings.TrimPrefix(strings.ToLower(san), "*.")))
		}
	}
}

// endpointMode holds mode, endpoint and number of control planes against each
// other.
func (ch *checker) endpointMode() {
	const at = "spec.kubernetes.endpointMode"
	endpoint := ch.inv.Spec.Kubernetes.Endpoint
	if !ch.given(at) || ch.spoiled(at) {
		return
	}
	switch planes := len(ch.c.ControlPlanes()); {
	case ch.c.EndpointMode == EndpointExternal && endpoint == "":
		ch.failHint("name your load balancer: spec.kubernetes.endpoint", at, "%s: external needs an endpoint", at)
	case ch.c.EndpointMode == EndpointKubeVIP:
		ch.virtualIP(at)
	case ch.c.EndpointMode != EndpointExternal && endpoint != "":
		ch.fail(at, "%s: %s goes without spec.kubernetes.endpoint, which is for external and kube-vip", at, ch.c.EndpointMode)
	case ch.c.EndpointMode == EndpointDirect && planes > 1:
		ch.failHint("choose local, external or kube-vip", at, "%s: direct reaches one control plane, and there are %d", at, planes)
	}
}

// virtualIP holds the endpoint of kube-vip against what it can be: kube-vip puts
// an address on an interface and changes no port.
func (ch *checker) virtualIP(mode string) {
	const at = "spec.kubernetes.endpoint"
	endpoint := ch.inv.Spec.Kubernetes.Endpoint
	if endpoint == "" {
		ch.failHint("name a free address of the control planes' network: "+at, mode, "%s: kube-vip needs an endpoint", mode)
		return
	}
	if ch.spoiled(at) {
		return
	}
	host, port, err := splitHostPort(endpoint)
	ip, ipErr := netip.ParseAddr(host)
	switch {
	case err != nil: // told by others
	case ipErr != nil:
		ch.failHint("name a free address of the control planes' network", at, "%s: %s is no IP address, which kube-vip needs", at, quote(host))
	case port != 0 && port != apiPort:
		ch.fail(at, "%s: with kube-vip the API is at port %d, that of the API servers", at, apiPort)
	default:
		for _, h := range ch.c.Hosts {
			for _, own := range []string{h.Address, h.NodeIP} {
				if a, err := netip.ParseAddr(own); err == nil && a == ip {
					ch.failHint("name an address that no machine has", at, "%s: %s is the address of host %s", at, ip, h.Name)
					return
				}
			}
		}
	}
}

// Both become part of a unit file: nothing that systemd reads as more than
// itself gets through.
var (
	onCalendar  = regexp.MustCompile(`^[0-9A-Za-z*:/.,~_+ -]+$`)
	snapshotDir = regexp.MustCompile(`^(/[0-9A-Za-z._-]+)+$`)
)

// certificates holds their lifetimes against each other and the schedule against
// what systemd takes.
func (ch *checker) certificates() {
	c := ch.c.Certificates
	if at := "spec.certificates.renewal.schedule"; ch.given(at) && !onCalendar.MatchString(c.Renewal.Schedule) {
		ch.failHint(`see "Calendar Events" in man systemd.time; "off" renews none`, at, "%s: %s is no time of systemd's calendar", at, quote(c.Renewal.Schedule))
	}
	if at := "spec.certificates.renewal.metricsFile"; ch.given(at) && !snapshotDir.MatchString(c.Renewal.MetricsFile) {
		ch.failHint("give a path like /var/lib/prometheus/node-exporter/kforge-certs.prom", at, "%s: %s is no absolute path of a file", at, quote(c.Renewal.MetricsFile))
	}
	if at := "spec.certificates.validity"; ch.given(at) && c.Validity >= c.CAValidity {
		ch.failHint("give the CAs more: spec.certificates.caValidity", at, "%s: certificates of %s end after their CA, which has %s", at, c.Validity, c.CAValidity)
	}
}

func (ch *checker) snapshots() {
	s := ch.inv.Spec.Etcd.Snapshots
	if at := "spec.etcd.snapshots.schedule"; ch.given(at) && !onCalendar.MatchString(s.Schedule) {
		ch.failHint(`see "Calendar Events" in man systemd.time; "off" takes none`, at, "%s: %s is no time of systemd's calendar", at, quote(s.Schedule))
	}
	at := "spec.etcd.snapshots.directory"
	if !ch.given(at) {
		return
	}
	switch d := s.Directory; {
	case !snapshotDir.MatchString(d) || path.Clean(d) != d:
		ch.fail(at, "%s: %s is not an absolute path of letters, digits and . _ -", at, quote(d))
	case d == "/var/lib/etcd" || strings.HasPrefix(d, "/var/lib/etcd/"):
		ch.failHint("choose a folder beside it", at, "%s: %s is etcd's own folder", at, quote(d))
	}
}

// ssh checks how hosts are reached, and makes paths absolute.
func (ch *checker) ssh() {
	s := &ch.c.SSH
	if s.User != "" {
		ch.must("spec.ssh.user", checkUser(s.User))
	}
	s.IdentityFiles = slices.Clone(s.IdentityFiles)
	for i, f := range s.IdentityFiles {
		at := fmt.Sprintf("spec.ssh.identityFiles[%d]", i)
		abs, err := expandPath(f, ch.c.Dir, ch.home)
		ch.must(at, err)
		s.IdentityFiles[i] = abs
	}
	at := "spec.ssh.knownHosts"
	abs, err := expandPath(s.KnownHosts, ch.c.Dir, ch.home)
	ch.must(at, err)
	s.KnownHosts = abs
	for i, b := range s.Bastions {
		at := fmt.Sprintf("spec.ssh.bastions[%d]", i)
		if !ch.given(at) {
			continue
		}
		if _, err := parseTarget(b); err != nil {
			ch.failHint("write [user@]host[:port]", at, "%s: %v", at, err)
		}
	}
	if d := s.AgentDir; d != "" && (!path.IsAbs(d) || path.Clean(d) == "/" || strings.ContainsAny(d, "\x00\n")) {
		ch.fail("spec.ssh.agentDir", "spec.ssh.agentDir: %s is not an absolute path below / of the hosts", quote(d))
	}
}
