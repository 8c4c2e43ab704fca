package ssh

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	cssh "golang.org/x/crypto/ssh"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/ssh/sshtest"
)

func parse(t *testing.T, line string) cssh.PublicKey {
	t.Helper()
	key, _, _, _, err := cssh.ParseAuthorizedKey([]byte(line))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

const userConfigText = `
Host gpu*
  HostName %h.lab.test
  User ops
  Port 2222
  IdentityFile ~/keys/%r-%%
  IdentityFile /etc/keys/second
  IdentitiesOnly yes
  ProxyJump inner
Match user somebody exec "rm -rf /"
  User wrong
Host inner
  HostName 10.0.0.1
  ProxyJump me@outer:2200
Host outer
  User fromconfig
Host circle1
  ProxyJump circle2
Host circle2
  ProxyJump circle1
Host own
  ProxyCommand nc %h %p
Host *
  User everybody
`

func TestUserConfig(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.cfg.ConfigFile = b.write("config", userConfigText)
	b.cfg.IdentityFiles = nil
	d := b.dialer()
	d.home, d.userConfig.home = "/home/me", "/home/me"
	h, err := d.resolve(Target{Address: "gpu1"})
	if err != nil {
		t.Fatal(err)
	}
	if h.String() != "ops@gpu1.lab.test:2222" || !h.identitiesOnly {
		t.Errorf("gpu1 is %s, identitiesOnly %t", h, h.identitiesOnly)
	}
	if d := cmp.Diff([]string{"/home/me/keys/ops-%", "/etc/keys/second"}, h.identities); d != "" {
		t.Errorf("identities (-want +got):\n%s", d)
	}
	explicit, err := d.resolve(Target{Address: "gpu1", User: "root", Port: 22})
	if err != nil || explicit.String() != "root@gpu1.lab.test:22" {
		t.Errorf("the target does not win: %s, %v", explicit, err)
	}
	chain, err := d.chain(h)
	if err != nil {
		t.Fatal(err)
	}
	var way []string
	for _, c := range chain {
		way = append(way, c.String())
	}
	if d := cmp.Diff([]string{"me@outer:2200", "everybody@10.0.0.1:22"}, way); d != "" {
		t.Errorf("bastions (-want +got):\n%s", d)
	}
	if got := b.warnings(); !strings.Contains(got, "config:10: this Match block") {
		t.Errorf("warnings: %q", got)
	}
	circle, err := d.resolve(Target{Address: "circle1"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = d.chain(circle)
	wantError(t, err, diag.Invalid, "circle1", "circle")
	if _, err := d.resolve(Target{Address: "own"}); err != nil || !strings.Contains(b.warnings(), "ProxyCommand") {
		t.Errorf("ProxyCommand: %v, warnings %q", err, b.warnings())
	}
}

func TestBastionsOfConfigWin(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.cfg.ConfigFile = b.write("config", userConfigText)
	b.cfg.Bastions = []string{"a@b1:23", "b2"}
	d := b.dialer()
	h, err := d.resolve(Target{Address: "gpu1"})
	if err != nil {
		t.Fatal(err)
	}
	chain, err := d.chain(h)
	if err != nil || len(chain) != 2 || chain[0].String() != "a@b1:23" || chain[1].String() != "everybody@b2:22" {
		t.Errorf("chain = %v, %v", chain, err)
	}
	// The bastion is one of the cluster's hosts.
	h, err = d.resolve(Target{Address: "b2"})
	if err != nil {
		t.Fatal(err)
	}
	if chain, err := d.chain(h); err != nil || len(chain) != 1 {
		t.Errorf("chain of the bastion itself = %v, %v", chain, err)
	}
}

func TestUserConfigNeverStopsAnybody(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"not a config": "Host \"\n\x00===\nMatch\nInclude [\n",
		"match exec":   "Match exec true\n  User x\n",
		"jump to all":  "Host *\n  ProxyJump bastion\n",
	} {
		b := newBench(t)
		b.cfg.ConfigFile = b.write("config", text)
		d := b.dialer()
		h, err := d.resolve(Target{Address: "bastion"})
		if err != nil || len(h.jumps) > 0 || h.user == "x" {
			t.Errorf("%s: %+v, %v", name, h, err)
		}
	}
	b := newBench(t)
	b.cfg.ConfigFile = b.path("missing")
	b.dialer()
}

func TestUserConfigGivesTheKey(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	srv := b.server(sshtest.Options{})
	b.cfg.ConfigFile = b.write("config", "Host lab\n HostName 127.0.0.1\n IdentityFile \""+b.path("id")+"\"\n")
	b.cfg.IdentityFiles = nil
	if _, err := b.dialer().Dial(t.Context(), Target{Address: "lab", Port: srv.Port()}); err != nil {
		t.Error(err)
	}
}

func TestParseSpec(t *testing.T) {
	t.Parallel()
	tests := map[string]Target{
		"host":                 {Address: "host"},
		"u@host:23":            {User: "u", Address: "host", Port: 23},
		"ssh://u@host:23/":     {User: "u", Address: "host", Port: 23},
		"u@d@host":             {User: "u@d", Address: "host"},
		"[fe80::1]:24":         {Address: "fe80::1", Port: 24},
		"2001:db8::1":          {Address: "2001:db8::1"},
		"[2001:db8::1]":        {Address: "2001:db8::1"},
		" root@10.0.0.1:2222 ": {User: "root", Address: "10.0.0.1", Port: 2222},
	}
	for spec, want := range tests {
		if got, err := parseSpec(spec); err != nil || got != want {
			t.Errorf("parseSpec(%q) = %+v, %v, want %+v", spec, got, err, want)
		}
	}
	for _, spec := range []string{"", "u@", "h:99999", "h:x", "a b"} {
		if got, err := parseSpec(spec); diag.KindOf(err) != diag.Invalid {
			t.Errorf("parseSpec(%q) = %+v, %v, want an error", spec, got, err)
		}
	}
}
