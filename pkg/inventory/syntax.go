package inventory

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

var (
	dnsLabel     = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	anyCaseLabel = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$`)
	labelWord    = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$`)
	cpuForm      = regexp.MustCompile(`^([0-9]+(\.[0-9]{1,3})?|[0-9]+m)$`)
	memoryForm   = regexp.MustCompile(`^[0-9]+(\.[0-9]+)?([KMGTPE]i|[kMGTPE])?$`)
)

// checkNodeName wants a DNS name of at most 63 characters: a node's name is
// also the value of its kubernetes.io/hostname label.
func checkNodeName(s string) error {
	switch {
	case s == "":
		return errors.New("the name is empty")
	case len(s) > 63:
		return fmt.Errorf("the name %s has %d characters, a node's name at most 63", quote(s), len(s))
	case s != strings.ToLower(s) && checkDNSName(strings.ToLower(s)) == nil:
		return fmt.Errorf("the name %s has upper-case letters: a node's name has none, write %q", quote(s), strings.ToLower(s))
	}
	if _, err := netip.ParseAddr(s); err == nil {
		return fmt.Errorf("the name %q is an address: a node needs a name", s)
	}
	return checkDNSName(s)
}

// checkDNSName wants a lower-case DNS-1123 name of one or more labels.
func checkDNSName(s string) error {
	if len(s) > 253 {
		return fmt.Errorf("%s has %d characters, a DNS name at most 253", quote(s), len(s))
	}
	for l := range strings.SplitSeq(s, ".") {
		if !dnsLabel.MatchString(l) {
			return fmt.Errorf("%s is not a DNS name (a-z, 0-9 and - inside, parts of at most 63 characters)", quote(s))
		}
	}
	return nil
}

// checkAddress wants an IP or a name that a resolver or ~/.ssh/config may know.
func checkAddress(s string) error {
	if addr, err := netip.ParseAddr(s); err == nil {
		if addr.IsUnspecified() || addr.IsMulticast() {
			return fmt.Errorf("%q is not the address of a host", s)
		}
		return nil
	}
	for l := range strings.SplitSeq(strings.TrimSuffix(s, "."), ".") {
		if !anyCaseLabel.MatchString(l) || len(s) > 253 {
			return fmt.Errorf("%s is neither an IP address nor a host name", quote(s))
		}
	}
	if strings.Trim(s, "0123456789.") == "" {
		return fmt.Errorf("%q is not an IP address", s)
	}
	return nil
}

func checkUser(s string) error {
	bad := func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r) || strings.ContainsRune(":/'\"", r)
	}
	if strings.HasPrefix(s, "-") || strings.ContainsFunc(s, bad) {
		return fmt.Errorf("%s is not a user name", quote(s))
	}
	return nil
}

// checkLabelKey wants [prefix/]name as Kubernetes does.
func checkLabelKey(s string) error {
	name := s
	if prefix, rest, ok := strings.Cut(s, "/"); ok {
		if err := checkDNSName(prefix); err != nil {
			return fmt.Errorf("the key %s: its prefix %w", quote(s), err)
		}
		name = rest
	}
	if !labelWord.MatchString(name) {
		return fmt.Errorf("the key %s is not [prefix/]name of letters, digits, -, _ and ., at most 63 characters", quote(s))
	}
	return nil
}

func checkLabelValue(s string) error {
	if s != "" && !labelWord.MatchString(s) {
		return fmt.Errorf("the value %s is not of letters, digits, -, _ and ., at most 63 characters", quote(s))
	}
	return nil
}

func checkCPU(s string) error {
	if !cpuForm.MatchString(s) {
		return fmt.Errorf(`%s is not an amount of CPU such as "500m" or "2"`, quote(s))
	}
	return nil
}

func checkMemory(s string) error {
	if memoryForm.MatchString(s) {
		return nil
	}
	hint := ""
	if m := regexp.MustCompile(`^([0-9.]+) ?([kmgtKMGT])i?[bB]?$`).FindStringSubmatch(s); m != nil {
		hint = fmt.Sprintf(" (did you mean %q?)", m[1]+strings.ToUpper(m[2])+"i")
	}
	return fmt.Errorf(`%s is not an amount of memory such as "512Mi" or "2Gi"%s`, quote(s), hint)
}

// checkMirror wants a plain base URL. A password has no place in a file that is
// kept in version control.
func checkMirror(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https"):
		return fmt.Errorf(`%s is not a URL such as "https://mirror.example.com/kforge"`, quote(s))
	case u.User != nil:
		return errors.New("a user or password does not belong into the inventory")
	case u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("%s: a base URL has no query and no fragment", quote(s))
	}
	return nil
}

var hostKeyTypes = []string{
	"ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa",
	"sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com",
}

// checkHostKey wants a public key as sshd has it in /etc/ssh/ssh_host_*_key.pub,
// or its fingerprint as ssh-keygen -l prints it.
func checkHostKey(s string) error {
	if fp, ok := strings.CutPrefix(s, "SHA256:"); ok {
		if raw, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(fp, "=")); err != nil || len(raw) != 32 {
			return errors.New("the fingerprint is not SHA256: and 43 characters of base64")
		}
		return nil
	}
	words := strings.Fields(s)
	if len(words) < 2 {
		return fmt.Errorf(`%s is not a host key such as "ssh-ed25519 AAAA..." or "SHA256:..."`, quote(s))
	}
	if !slices.Contains(hostKeyTypes, words[0]) {
		return fmt.Errorf("unknown host key type %s%s", quote(words[0]), didYouMean(words[0], hostKeyTypes))
	}
	raw, err := base64.StdEncoding.DecodeString(words[1])
	if err != nil || len(raw) < 4 {
		return fmt.Errorf("the %s key is not whole base64: was it cut?", words[0])
	}
	// The blob starts with its own type: a four-byte length and the name.
	n := binary.BigEndian.Uint32(raw)
	if n > 64 || int(n) > len(raw)-4 || string(raw[4:4+n]) != words[0] || len(raw) < 4+int(n)+4 {
		return fmt.Errorf("the key's content is not of type %s: was it cut?", words[0])
	}
	return nil
}
