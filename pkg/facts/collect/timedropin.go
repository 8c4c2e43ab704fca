package collect

import (
	"path"
	"slices"
	"strings"
)

// timesyncdDropIn is read by every systemd-timesyncd.
const timesyncdDropIn = "/etc/systemd/timesyncd.conf.d/10-kforge.conf"

// timeDropIn gives the file that time servers of ours would be in, for a daemon
// whose own configuration reads a folder; "" where it reads none, and only the
// main file, which is somebody else's, could name them.
func (h *host) timeDropIn(daemon string) string {
	switch daemon {
	case "systemd-timesyncd":
		return timesyncdDropIn
	case "ntpsec":
		// ntpd reads the folder beside the file that it is started with; where
		// DHCP gave servers, that is one in /run.
		if h.exists("/etc/ntpsec/ntp.conf") && !h.exists("/run/ntpsec/ntp.conf.dhcp") {
			return "/etc/ntpsec/ntp.d/kforge.conf"
		}
	case "chrony":
		for _, main := range []string{"/etc/chrony/chrony.conf", "/etc/chrony.conf"} {
			if text := h.text(main); text != "" {
				return chronyDropIn(text)
			}
		}
	}
	return ""
}

// chronyDropIn looks for a folder below /etc in chrony's configuration: one of
// sources, which are reloaded without a restart, before one of settings.
func chronyDropIn(conf string) string {
	found := map[string]string{} // by directive, the first of each
	for line := range strings.Lines(conf) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		directive := strings.ToLower(f[0])
		at := slices.IndexFunc(f[1:], func(p string) bool { return strings.HasPrefix(p, "/etc/") })
		if at < 0 || found[directive] != "" {
			continue
		}
		switch p := f[1+at]; directive {
		case "sourcedir":
			found[directive] = path.Join(p, "kforge.sources")
		case "confdir":
			found[directive] = path.Join(p, "kforge.conf")
		case "include":
			if dir, pattern := path.Split(p); pattern == "*.conf" {
				found[directive] = path.Join(dir, "kforge.conf")
			}
		}
	}
	for _, directive := range []string{"sourcedir", "confdir", "include"} {
		if found[directive] != "" {
			return found[directive]
		}
	}
	return ""
}
