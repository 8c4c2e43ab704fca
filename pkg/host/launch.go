package host

import (
	"fmt"
	"path"
	"strings"

	"kforge.dev/kforge/pkg/agentbin"
	"kforge.dev/kforge/pkg/ssh"
	"kforge.dev/kforge/pkg/wire"
)

// Directories in which kforge-agent may live, in the order in which they are
// tried: the first that exists, is ours and lets programs run. $HOME is
// expanded on the host.
const (
	dirRoot  = "/var/lib/kforge/bin"
	dirCache = "$HOME/.cache/kforge"
	dirOpt   = "/opt/kforge"
	dirRun   = "/run/kforge-bin"
)

// Exit codes of the launcher, outside of what a shell (126, 127) or an agent
// (0, 1) uses.
const (
	exitUnsupported = 120 // no agent for this architecture
	exitNeedUpload  = 121 // no usable agent in any directory
	exitNeedSudo    = 122 // not root, and sudo wants a password
	exitNoSudo      = 123 // not root, and no sudo at all
)

// needPrefix starts the line that tells what an upload has to know:
// "KFORGE-NEED <arch> <uid> <dir>". The directory exists, is ours, and a
// program was seen to run from it; without one, none of the candidates would do.
const needPrefix = "KFORGE-NEED "

// candidates gives the directories to look into for an agent.
func candidates(agentDir string) []string {
	dirs := []string{dirRoot, dirCache, dirOpt, dirRun}
	if agentDir != "" {
		dirs = append([]string{agentDir}, dirs...)
	}
	return dirs
}

// launcher is the one command that a session starts with: it finds the agent for
// the host's architecture, becomes root and runs it. When there is none it says
// what it needs and ends with one of the exit codes above. Only digests, fixed
// words and the quoted agent directory are in it: nothing else of the user's
// file ever reaches a shell.
//
// nonce is empty to try sudo without a password; otherwise sudo prints it as its
// prompt and reads a password from stdin.
func launcher(agents []agentbin.Agent, agentDir string, mode wire.Mode, nonce string) string {
	var b strings.Builder
	b.WriteString("LC_ALL=C; export LC_ALL; umask 077\n")
	b.WriteString("m=$(uname -m); case \"$m\" in\n")
	for _, a := range agents {
		fmt.Fprintf(&b, "%s) a=%s; n=%s;;\n", machineNames(a.Arch), a.Arch, a.FileName())
	}
	fmt.Fprintf(&b, "*) echo \"unsupported machine $m\" >&2; exit %d;; esac\n", exitUnsupported)
	b.WriteString("u=$(id -u); dirs=''\n")
	b.WriteString("run() {\n")
	fmt.Fprintf(&b, "if [ \"$u\" = 0 ]; then exec \"$1\" serve --mode %s; fi\n", mode)
	fmt.Fprintf(&b, "command -v sudo >/dev/null 2>&1 || exit %d\n", exitNoSudo)
	if nonce == "" {
		fmt.Fprintf(&b, "sudo -n true 2>/dev/null || exit %d\n", exitNeedSudo)
		fmt.Fprintf(&b, "exec sudo -n -- \"$1\" serve --mode %s\n", mode)
	} else {
		fmt.Fprintf(&b, "exec sudo -k -S -p %s -- \"$1\" serve --mode %s\n", ssh.Quote(nonce), mode)
	}
	b.WriteString("}\n")
	b.WriteString("for d in")
	for _, d := range candidates(agentDir) {
		if strings.HasPrefix(d, "$HOME") {
			b.WriteString(` "` + d + `"`)
		} else {
			b.WriteString(" " + ssh.Quote(d))
		}
	}
	// An agent that does not answer `version` sits on a noexec file system or
	// is damaged: the next directory may serve. A directory that somebody else
	// could write to is never used, since root runs what lies there.
	b.WriteString(`; do f="$d/$n"
if [ -x "$f" ] && [ -O "$f" ] && "$f" version >/dev/null 2>&1; then run "$f"; fi
if [ -z "$dirs" ] && mkdir -p "$d" 2>/dev/null && [ -w "$d" ] && [ -O "$d" ] && chmod 700 "$d" 2>/dev/null; then
t="$d/.try-$$"; printf '#!/bin/sh\nexit 0\n' >"$t" 2>/dev/null && chmod 700 "$t" && "$t" 2>/dev/null && dirs=" $d"; rm -f "$t"; fi
done
`)
	fmt.Fprintf(&b, "echo \"%s$a $u$dirs\"; exit %d\n", needPrefix, exitNeedUpload)
	return "/bin/sh -c " + ssh.Quote(b.String())
}

func machineNames(arch string) string {
	switch arch {
	case "amd64":
		return "x86_64|amd64"
	case "arm64":
		return "aarch64|arm64"
	default:
		return arch
	}
}

// need is what the launcher said when it found no agent.
type need struct {
	arch string
	root bool
	dir  string // "" when none of the candidates can be used
}

// parseNeed finds the launcher's line among what a login shell printed.
func parseNeed(stdout string) (need, bool) {
	for _, line := range strings.Split(stdout, "\n") {
		_, rest, ok := strings.Cut(line, needPrefix)
		if !ok {
			continue
		}
		f := strings.Fields(rest)
		if len(f) < 2 {
			continue
		}
		n := need{arch: f[0], root: f[1] == "0"}
		if dir := strings.TrimSpace(strings.Join(f[2:], " ")); path.IsAbs(dir) {
			n.dir = path.Clean(dir)
		}
		return n, true
	}
	return need{}, false
}
