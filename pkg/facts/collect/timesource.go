package collect

import (
	"context"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"kforge.dev/kforge/pkg/facts"
)

// timeSources asks the daemon that runs, since its sources are written down
// nowhere; else it tells what is configured.
func (h *host) timeSources(ctx context.Context, t facts.Time) []facts.TimeSource {
	var asked []facts.TimeSource
	if t.DaemonActive && h.live() {
		switch t.Daemon {
		case "chrony":
			asked = parseChronySources(h.output(ctx, "chronyc", "-n", "-c", "sources"))
		case "ntp", "ntpsec":
			asked = parsePeers(h.output(ctx, "ntpq", "-pn"))
		case "systemd-timesyncd":
			asked = parseTimesync(h.output(ctx, "timedatectl", "show-timesync"))
		}
	}
	if len(asked) > 0 {
		return asked
	}
	return h.timeConfigured(t.Daemon)
}

// output runs a program that tells, and gives it little time.
func (h *host) output(ctx context.Context, name string, args ...string) string {
	bin := h.find(name)
	if bin == "" {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, bin, args...)
	cmd.WaitDelay = 100 * time.Millisecond
	cmd.Env = []string{"PATH=" + strings.Join(binDirs, ":"), "LC_ALL=C"}
	out, err := cmd.Output()
	if err != nil {
		return ""
	}
	return string(out)
}

// parseChronySources reads lines like ^,*,10.0.0.1,2,6,377,23,-0.000012,-0.000014,0.0021:
// mode, state, name, stratum, poll, reach, age, adjusted offset, offset, error.
func parseChronySources(text string) []facts.TimeSource {
	states := map[string]string{"*": "selected", "+": "combined", "-": "candidate", "?": "unreachable", "x": "falseticker", "~": "falseticker"}
	var out []facts.TimeSource
	for line := range strings.Lines(text) {
		f := strings.Split(strings.TrimSpace(line), ",")
		if len(f) < 9 || states[f[1]] == "" {
			continue
		}
		s := facts.TimeSource{Name: f[2], State: states[f[1]]}
		s.Stratum, _ = strconv.Atoi(f[3])                 // 0 when it is odd
		s.OffsetSeconds, _ = strconv.ParseFloat(f[8], 64) // 0 when it is odd
		out = append(out, s)
	}
	return out
}

// parsePeers reads the table of ntpq -pn: a tally mark before the name; offsets
// in milliseconds.
func parsePeers(text string) []facts.TimeSource {
	states := map[byte]string{'*': "selected", 'o': "selected", '+': "combined", '#': "candidate", '-': "candidate", '.': "candidate", 'x': "falseticker", ' ': "unreachable"}
	var out []facts.TimeSource
	_, table, _ := strings.Cut(text, "===\n")
	for line := range strings.Lines(table) {
		if line == "" || states[line[0]] == "" {
			continue
		}
		f := strings.Fields(line[1:])
		if len(f) < 10 || f[1] == ".POOL." {
			continue
		}
		s := facts.TimeSource{Name: f[0], State: states[line[0]]}
		s.Stratum, _ = strconv.Atoi(f[2])
		if ms, err := strconv.ParseFloat(f[8], 64); err == nil {
			s.OffsetSeconds = ms / 1000
		}
		out = append(out, s)
	}
	return out
}

// parseTimesync reads the properties of systemd-timesyncd, which knows one
// server at a time.
func parseTimesync(text string) []facts.TimeSource {
	s := facts.TimeSource{State: "unreachable"}
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch key {
		case "ServerName":
			s.Name = value
		case "NTPMessage":
			s.State = "selected" // a server has answered
			for field := range strings.SplitSeq(strings.Trim(value, "{} "), ", ") {
				if n, ok := strings.CutPrefix(strings.TrimSpace(field), "Stratum="); ok {
					s.Stratum, _ = strconv.Atoi(n)
				}
			}
		}
	}
	if s.Name == "" {
		return nil
	}
	return []facts.TimeSource{s}
}

// timeConfigured reads servers, pools and peers from the daemon's files.
func (h *host) timeConfigured(daemon string) []facts.TimeSource {
	globs := map[string][]string{
		"chrony":            {"/etc/chrony/chrony.conf", "/etc/chrony.conf", "/etc/chrony/conf.d/*.conf", "/etc/chrony.d/*.conf", "/etc/chrony/sources.d/*.sources", "/run/chrony-dhcp/*.sources"},
		"ntp":               {"/etc/ntp.conf"},
		"ntpsec":            {"/etc/ntpsec/ntp.conf", "/etc/ntpsec/ntp.d/*.conf"},
		"systemd-timesyncd": {"/etc/systemd/timesyncd.conf", "/etc/systemd/timesyncd.conf.d/*.conf", "/run/systemd/timesyncd.conf.d/*.conf", "/usr/lib/systemd/timesyncd.conf.d/*.conf"},
	}
	var out []facts.TimeSource
	add := func(name string) {
		if !slices.ContainsFunc(out, func(s facts.TimeSource) bool { return s.Name == name }) {
			out = append(out, facts.TimeSource{Name: name, State: "configured"})
		}
	}
	for _, g := range globs[daemon] {
		for _, p := range h.glob(g) {
			for line := range strings.Lines(h.text(p)) {
				if daemon == "systemd-timesyncd" {
					key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
					if key == "NTP" || key == "FallbackNTP" {
						for n := range strings.FieldsSeq(value) {
							add(n)
						}
					}
					continue
				}
				if f := strings.Fields(line); len(f) >= 2 && (f[0] == "server" || f[0] == "pool" || f[0] == "peer" || f[0] == "refclock") {
					add(f[1])
				}
			}
		}
	}
	return out
}
