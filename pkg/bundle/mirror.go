package bundle

import (
	"net/url"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"

	"kforge.dev/kforge/pkg/diag"
)

// mirror turns official addresses into those to fetch from. The zero value
// means the official sites. A mirror at BASE serves https://HOST/PATH at
// BASE/HOST/PATH, and the image REGISTRY/PATH:TAG as REGISTRY/PATH:TAG in the
// registry at BASE's host and port.
type mirror struct{ base *url.URL }

func parseMirror(s string) (mirror, error) {
	if s == "" {
		return mirror{}, nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return mirror{}, diag.New(diag.Invalid, "read mirror", "%q is not an http or https address", s).
			WithHint("write it as https://mirror.example.org")
	}
	return mirror{u}, nil
}

// url of a file whose official address is given.
func (m mirror) url(official string) string {
	if m.base == nil {
		return official
	}
	return strings.TrimSuffix(m.base.String(), "/") + "/" + strings.TrimPrefix(official, "https://")
}

// image to pull for an official reference.
func (m mirror) image(ref string) (name.Reference, error) {
	if m.base == nil {
		return name.ParseReference(ref, name.StrictValidation)
	}
	var opts []name.Option
	if m.base.Scheme == "http" {
		opts = append(opts, name.Insecure)
	}
	return name.ParseReference(m.base.Host+"/"+ref, opts...)
}

// keychain for the registry: the mirror's own user, else what the admin's
// container tools are logged in with.
func (m mirror) keychain() authn.Keychain {
	if m.base == nil || m.base.User == nil {
		return authn.DefaultKeychain
	}
	password, _ := m.base.User.Password()
	return fixedAuth{authn.FromConfig(authn.AuthConfig{Username: m.base.User.Username(), Password: password})}
}

type fixedAuth struct{ authn.Authenticator }

func (a fixedAuth) Resolve(authn.Resource) (authn.Authenticator, error) { return a.Authenticator, nil }

// redact takes a password out of an address, for errors.
func redact(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "(address)"
	}
	return u.Redacted()
}
