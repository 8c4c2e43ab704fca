package ssh

import (
	"fmt"
	"slices"
	"strings"

	cssh "golang.org/x/crypto/ssh"

	"kforge.dev/kforge/pkg/diag"
)

// verifier decides about the host key of one hop.
type verifier struct {
	// attempts are the host key algorithms to offer, one handshake each: only a
	// pinned fingerprint, which does not tell its key type, needs more than one.
	attempts [][]string
	check    func(key cssh.PublicKey) error // gives a host-key error
}

// verifier picks the rule for h: its pin, else known_hosts.
func (d *Dialer) verifier(h hop) (verifier, error) {
	if h.pin != "" {
		return pinned(h)
	}
	keys, authority, err := d.known.known(h.addr())
	if err != nil {
		return verifier{}, err
	}
	types := make([]string, len(keys))
	for i, k := range keys {
		types[i] = k.Key.Type()
	}
	algos := prefer(types)
	if authority {
		algos = append(certAlgorithms(), algos...)
	}
	return verifier{
		attempts: [][]string{algos},
		check:    func(key cssh.PublicKey) error { return d.known.check(h.addr(), key) },
	}, nil
}

func pinned(h hop) (verifier, error) {
	invalid := func(reason string) error {
		return diag.New(diag.Invalid, "read host key pin", "%q %s", h.pin, reason).On(h.name).
			WithHint(`write hostKey as "ssh-ed25519 AAAA..." or "SHA256:...", as ssh-keyscan and ssh-keygen -l print it`)
	}
	refuse := func(key cssh.PublicKey, want string) error {
		return diag.New(diag.HostKey, "check host key", "%s shows %s %s, but the inventory pins %s",
			h.addr(), key.Type(), cssh.FingerprintSHA256(key), want).
			WithHint("somebody may be in the middle; if the machine was reinstalled, change its hostKey in the inventory")
	}
	if strings.HasPrefix(h.pin, "SHA256:") {
		want := strings.TrimRight(h.pin, "=")
		if len(want) != len("SHA256:")+43 {
			return verifier{}, invalid("is not a SHA256 fingerprint")
		}
		return verifier{
			attempts: [][]string{algorithms("ssh-ed25519"), algorithms("ecdsa"), algorithms("ssh-rsa")},
			check: func(key cssh.PublicKey) error {
				if cssh.FingerprintSHA256(key) != want {
					return refuse(key, want)
				}
				return nil
			},
		}, nil
	}
	want, _, _, _, err := cssh.ParseAuthorizedKey([]byte(h.pin))
	if err != nil {
		return verifier{}, invalid(fmt.Sprintf("is not a public key: %v", err))
	}
	return verifier{
		attempts: [][]string{prefer([]string{want.Type()})},
		check: func(key cssh.PublicKey) error {
			if !slices.Equal(key.Marshal(), want.Marshal()) {
				return refuse(key, want.Type()+" "+cssh.FingerprintSHA256(want))
			}
			return nil
		},
	}, nil
}

// plainAlgorithms are those without certificates, best first.
var plainAlgorithms = []string{
	cssh.KeyAlgoED25519,
	cssh.KeyAlgoECDSA256, cssh.KeyAlgoECDSA384, cssh.KeyAlgoECDSA521,
	cssh.KeyAlgoRSASHA512, cssh.KeyAlgoRSASHA256,
}

// algorithms gives the signature algorithms of a key type ("ecdsa" is all of
// its curves).
func algorithms(keyType string) []string {
	switch keyType {
	case cssh.KeyAlgoRSA:
		return []string{cssh.KeyAlgoRSASHA512, cssh.KeyAlgoRSASHA256}
	case "ecdsa":
		return plainAlgorithms[1:4]
	}
	return []string{keyType}
}

// prefer puts the algorithms of the known key types first. A host has several
// keys, and another one than the one on record would look like a changed key;
// the others follow, so that a key that did change is seen and told.
// Certificates are not offered: without an authority they prove nothing.
func prefer(keyTypes []string) []string {
	var out []string
	for _, t := range keyTypes {
		for _, a := range algorithms(t) {
			if !slices.Contains(out, a) && slices.Contains(cssh.SupportedAlgorithms().HostKeys, a) {
				out = append(out, a)
			}
		}
	}
	for _, a := range plainAlgorithms {
		if !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	return out
}

func certAlgorithms() []string {
	var out []string
	for _, a := range cssh.SupportedAlgorithms().HostKeys {
		if strings.Contains(a, "-cert-") {
			out = append(out, a)
		}
	}
	slices.Reverse(out) // ed25519 first
	return out
}
