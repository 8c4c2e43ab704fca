package collect

import (
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"kforge.dev/kforge/pkg/facts"
)

const capSysResource = 24

func (h *host) os() facts.OS {
	rel := parseOSRelease(h.text("/etc/os-release"))
	if len(rel) == 0 {
		rel = parseOSRelease(h.text("/usr/lib/os-release"))
	}
	o := facts.OS{ID: rel["ID"], Version: rel["VERSION_ID"], Name: rel["PRETTY_NAME"]}
	if rel["ID_LIKE"] != "" {
		o.Like = strings.Fields(rel["ID_LIKE"])
	}
	// systemd makes this directory early, and only as the first process.
	if h.exists("/run/systemd/system") {
		o.Systemd = h.systemdVersion()
	}
	o.Container = h.line("/run/systemd/container")
	for _, name := range []string{"apt-get", "dnf", "yum", "zypper"} {
		if h.find(name) != "" {
			o.PackageManager = name
			break
		}
	}
	return o
}

// systemdVersion finds the version without running anything: the private
// library of systemd carries it in its name.
func (h *host) systemdVersion() int {
	for _, dir := range []string{
		"/usr/lib/systemd", "/lib/systemd", "/usr/lib64/systemd",
		"/usr/lib/x86_64-linux-gnu/systemd", "/lib/x86_64-linux-gnu/systemd",
		"/usr/lib/aarch64-linux-gnu/systemd", "/lib/aarch64-linux-gnu/systemd",
	} {
		entries, err := os.ReadDir(h.path(dir))
		if err != nil {
			continue
		}
		for _, e := range entries {
			if v := parseSystemdLib(e.Name()); v > 0 {
				return v
			}
		}
	}
	return 1 // it runs, and does not tell
}

// parseSystemdLib reads libsystemd-shared-252.so, also -252.22-1~deb12u1.so and
// -252-32.el9.so.
func parseSystemdLib(name string) int {
	rest, ok := strings.CutPrefix(name, "libsystemd-shared-")
	if !ok {
		return 0
	}
	end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		return 0
	}
	v, err := strconv.Atoi(rest[:end])
	if err != nil {
		return 0
	}
	return v
}

func (h *host) kernel() facts.Kernel {
	k := facts.Kernel{
		Release:           h.line("/proc/sys/kernel/osrelease"),
		Arch:              arch(),
		Cgroup:            h.cgroup(),
		Caps:              parseCaps(h.text("/proc/self/status")),
		ConntrackWritable: h.opens("/proc/sys/net/netfilter/nf_conntrack_max", os.O_WRONLY),
		KmsgReadable:      h.opens("/dev/kmsg", os.O_RDONLY|unix.O_NONBLOCK),
		Modules:           parseModules(h.text("/proc/modules")),
		LSM:               h.line("/sys/kernel/security/lsm"),
		Controllers:       strings.Fields(h.line("/sys/fs/cgroup/cgroup.controllers")),
		SELinux:           h.selinux(),
		AppArmor:          h.line("/sys/module/apparmor/parameters/enabled") == "Y",
		SecureBoot:        h.secureBoot(),
		Lockdown:          chosen(h.line("/sys/kernel/security/lockdown")),
		CommandLine:       h.line("/proc/cmdline"),
	}
	k.OOMScoreAdjLowerable = k.Caps&(1<<capSysResource) != 0
	if k.LSM == "" && h.exists("/sys/fs/selinux/enforce") {
		k.LSM = "selinux"
	}
	return k
}

// cgroup tells 2 only where the whole hierarchy is: a hybrid counts as 1.
func (h *host) cgroup() int {
	if h.live() {
		var st unix.Statfs_t
		if err := unix.Statfs("/sys/fs/cgroup", &st); err != nil {
			return 0
		}
		if st.Type == unix.CGROUP2_SUPER_MAGIC {
			return 2
		}
		return 1
	}
	switch {
	case h.exists("/sys/fs/cgroup/cgroup.controllers"):
		return 2
	case h.exists("/sys/fs/cgroup"):
		return 1
	}
	return 0
}

// opens tells whether a file can be opened; nothing is read or written.
func (h *host) opens(p string, flags int) bool {
	f, err := os.OpenFile(h.path(p), flags, 0)
	if err != nil {
		return false
	}
	f.Close()
	return true
}

func (h *host) time(u units) facts.Time {
	t := facts.Time{Unix: float64(time.Now().UnixNano()) / 1e9}
	if h.live() {
		var tx unix.Timex
		if state, err := unix.Adjtimex(&tx); err == nil {
			t.Synced = state != unix.TIME_ERROR && tx.Status&unix.STA_UNSYNC == 0
			t.MaxErrorMicros = tx.Maxerror
			t.EstimatedErrorMicros = tx.Esterror
		}
	}
	for _, d := range []struct{ name, unit, run string }{
		{"chrony", "chrony.service", "/run/chrony/chronyd.pid"},
		{"chrony", "chronyd.service", "/run/chrony/chronyd.pid"},
		{"ntpsec", "ntpsec.service", "/run/ntpd.pid"},
		{"ntp", "ntp.service", "/run/ntpd.pid"},
		{"ntp", "ntpd.service", "/run/ntpd.pid"},
		{"systemd-timesyncd", "systemd-timesyncd.service", "/run/systemd/timesync"},
	} {
		if !u.has(d.unit) {
			continue
		}
		active := h.unitActive(d.unit) || h.exists(d.run)
		if t.Daemon == "" || active && !t.DaemonActive {
			t.Daemon, t.DaemonActive, t.Unit = d.name, active, d.unit
		}
	}
	t.DropIn = h.timeDropIn(t.Daemon)
	for _, s := range h.timeConfigured(t.Daemon) {
		t.Configured = append(t.Configured, s.Name)
	}
	return t
}
