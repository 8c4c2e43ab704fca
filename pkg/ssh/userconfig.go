package ssh

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	sshconfig "github.com/kevinburke/ssh_config"

	"kforge.dev/kforge/pkg/diag"
)

// userConfig answers from one ~/.ssh/config file. The zero value knows nothing.
type userConfig struct {
	file  string
	home  string
	login string
	cfg   *sshconfig.Config
	warn  func(string)
	proxy sync.Once // the ProxyCommand warning
}

// readUserConfig reads file; a missing one is empty. What cannot be understood
// is left out with a warning, as a config made for OpenSSH must not keep
// anybody from their hosts.
func readUserConfig(file, home, login string, warn func(string)) (*userConfig, error) {
	u := &userConfig{file: file, home: home, login: login, warn: warn}
	if file == "" {
		return u, nil
	}
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return u, nil
	}
	if err != nil {
		return nil, diag.Wrap(diag.Invalid, "read ssh config", err)
	}
	text, dropped := withoutMatches(text)
	for _, line := range dropped {
		warn(fmt.Sprintf("%s:%d: this Match block is not understood and left out", file, line))
	}
	cfg, err := decode(text)
	if err != nil {
		warn(fmt.Sprintf("%s is left out: %v", file, err))
		return u, nil
	}
	u.cfg = cfg
	return u, nil
}

// decode turns what the parser throws into an error.
func decode(text []byte) (cfg *sshconfig.Config, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("parsing: %v", r)
		}
	}()
	return sshconfig.DecodeBytes(text)
}

// withoutMatches blanks every Match block but "Match all" and "Match host NAME",
// and gives their line numbers. The parser refuses a whole file for some, and
// takes the further criteria of others ("host a user b") for host names.
func withoutMatches(text []byte) (rest []byte, dropped []int) {
	lines := bytes.Split(text, []byte("\n"))
	inside := false
	for i, line := range lines {
		words := strings.Fields(strings.Replace(string(line), "=", " ", 1))
		if len(words) > 0 {
			switch strings.ToLower(words[0]) {
			case "host":
				inside = false
			case "match":
				inside = !knownMatch(words[1:])
				if inside {
					dropped = append(dropped, i+1)
				}
			}
		}
		if inside {
			lines[i] = nil
		}
	}
	return bytes.Join(lines, []byte("\n")), dropped
}

func knownMatch(criteria []string) bool {
	if len(criteria) == 0 {
		return false
	}
	switch strings.ToLower(criteria[0]) {
	case "all":
		return len(criteria) == 1
	case "host":
		return len(criteria) == 2 && !strings.Contains(criteria[1], ",")
	}
	return false
}

// all gives the values of key for alias, never a panic of the library.
func (u *userConfig) all(alias, key string) (values []string) {
	if u.cfg == nil {
		return nil
	}
	defer func() {
		if r := recover(); r != nil {
			u.warn(fmt.Sprintf("%s: %s of %s is left out: %v", u.file, key, alias, r))
			values = nil
		}
	}()
	values, err := u.cfg.GetAll(alias, key)
	if err != nil {
		u.warn(fmt.Sprintf("%s: %s of %s is left out: %v", u.file, key, alias, err))
		return nil
	}
	return values
}

func (u *userConfig) first(alias, key string) string {
	if v := u.all(alias, key); len(v) > 0 {
		return strings.TrimSpace(v[0])
	}
	return ""
}

// apply fills what is empty in h.
func (u *userConfig) apply(h *hop) error {
	if name := u.first(h.alias, "HostName"); name != "" {
		h.host = expand(name, map[byte]string{'h': h.alias})
	}
	if h.user == "" {
		h.user = u.first(h.alias, "User")
	}
	if port := u.first(h.alias, "Port"); port != "" && h.port == 0 {
		n, err := strconv.Atoi(port)
		if err != nil {
			return diag.New(diag.Invalid, "read ssh config", "%s: port %q of %s is not a number", u.file, port, h.alias).On(h.name)
		}
		h.port = n
	}
	user := h.user
	if user == "" {
		user = u.login
	}
	for _, file := range u.all(h.alias, "IdentityFile") {
		if strings.EqualFold(file, "none") {
			continue
		}
		file = expand(file, map[byte]string{'h': h.host, 'd': u.home, 'u': u.login, 'r': user, 'n': h.alias})
		h.identities = append(h.identities, homePath(u.home, file))
	}
	h.identitiesOnly = strings.EqualFold(u.first(h.alias, "IdentitiesOnly"), "yes")
	jump := u.first(h.alias, "ProxyJump")
	if jump == "" && u.first(h.alias, "ProxyCommand") != "" {
		u.proxy.Do(func() {
			u.warn(fmt.Sprintf("%s: ProxyCommand of %s is not used; name the way with ProxyJump or ssh.bastions", u.file, h.alias))
		})
	}
	if jump == "" || strings.EqualFold(jump, "none") {
		return nil
	}
	for spec := range strings.SplitSeq(jump, ",") {
		t, err := parseSpec(spec)
		if err != nil {
			return diag.Wrap(diag.Invalid, "read ssh config", err).At(diag.Position{File: u.file}).On(h.name)
		}
		if t.Address == h.alias {
			h.jumps = nil // "Host *" with a ProxyJump covers the bastion too
			return nil
		}
		h.jumps = append(h.jumps, strings.TrimSpace(spec))
	}
	return nil
}

func homePath(home, file string) string {
	if rest, ok := strings.CutPrefix(file, "~/"); ok {
		return filepath.Join(home, rest)
	}
	return file
}

// expand replaces %x by its value and %% by a percent sign; unknown tokens
// stay as they are.
func expand(s string, tokens map[byte]string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		v, ok := tokens[s[i]]
		switch {
		case s[i] == '%':
			b.WriteByte('%')
		case ok:
			b.WriteString(v)
		default:
			b.WriteByte('%')
			b.WriteByte(s[i])
		}
	}
	return b.String()
}
