package inventory

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/diag/errlist"
)

func TestNearest(t *testing.T) {
	t.Parallel()
	keys := []string{"port", "address", "roles", "hostKey", "user", "serviceCIDR"}
	for word, want := range map[string]string{
		"prot": "port", "adress": "address", "role": "roles", "hostkey": "hostKey", "HOSTKEY": "hostKey",
		"serviceCidrs": "serviceCIDR", "usr": "user", "memory": "", "x": "", "": "", strings.Repeat("port", 100): "",
	} {
		if got := nearest(word, keys); got != want {
			t.Errorf("nearest(%q) = %q, want %q", word, got, want)
		}
	}
}

func TestResolveVersion(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"1.35": "v1.35.4", "v1.36": "v1.36.3", "1.37": "v1.37.2", "1.36.0": "v1.36.0", "v1.37.2": "v1.37.2", "v1.37.9": "v1.37.9 newer",
		"1.34": "", "1.38": "", "2.0": "", "v1.37.0-rc.1": "", "1.37.": "", "": "", "latest": "", "01.37": "", "1.37.2.1": "",
	} {
		got, newer, err := ResolveVersion(in)
		if newer {
			got += " newer"
		}
		if got != want || (err == nil) != (want != "") {
			t.Errorf("ResolveVersion(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
	if v := newestPatch[SupportedMinors[len(SupportedMinors)-1]]; v != DefaultVersion || len(newestPatch) != len(SupportedMinors) {
		t.Errorf("the table of versions does not agree with itself: %q, %q", v, DefaultVersion)
	}
}

func TestParseTargets(t *testing.T) {
	t.Parallel()
	got, err := ParseTargets([]string{"10.0.0.1", "node2=root@10.0.0.2:2222", "host.example.com:22", "[fd00::1]:22", "fd00::2", "a@b@h"})
	if err != nil {
		t.Fatal(err)
	}
	want := []Target{
		{Name: "node1", Address: "10.0.0.1"},
		{Name: "node2", User: "root", Address: "10.0.0.2", Port: 2222},
		{Name: "node3", Address: "host.example.com", Port: 22},
		{Name: "node4", Address: "fd00::1", Port: 22},
		{Name: "node5", Address: "fd00::2"},
		{Name: "node6", User: "a@b", Address: "h"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("ParseTargets (-want +got):\n%s", d)
	}
}

func TestParseTargetsTellsAllThatIsWrong(t *testing.T) {
	t.Parallel()
	args := []string{"", "=10.0.0.1", "N1=10.0.0.1", "n1=", "n1=@h", "n1=a b@h", "n1=h:0", "n1=h:x", "n1=:22", "n1=10.0.0.300", "n1=h/x", "n2=ok", "n2=ok2", "n3=ok"}
	_, err := ParseTargets(args)
	errs := errlist.Flatten(err)
	if len(errs) != 13 {
		t.Errorf("%d errors for %d arguments: %v", len(errs), len(args), err)
	}
	for _, e := range errs {
		if diag.KindOf(e) != diag.Invalid {
			t.Errorf("%v is of kind %q", e, diag.KindOf(e))
		}
	}
	if _, err := ParseTargets(nil); diag.KindOf(err) != diag.Invalid || diag.Hint(errlist.Flatten(err)[0]) == "" {
		t.Errorf("ParseTargets of nothing = %v", err)
	}
}

func TestStarterLoads(t *testing.T) {
	t.Parallel()
	targets, err := ParseTargets([]string{"1=10.0.0.1", "1e5=10.0.0.2", "null=a\\b@fd00::1", "true=root@[fd00::2]:2222", "no=h", "0x1f=~@H_1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"prod", "1", ""} {
		text := Starter(name, targets)
		_, c, warnings, err := decode("f", "/site", "/home/admin", text)
		if err != nil || len(warnings) > 0 {
			t.Fatalf("warnings %v, error %v in\n%s", warnings, err, text)
		}
		var got []Target
		for _, h := range c.Hosts {
			got = append(got, Target{Name: h.Name, User: h.User, Address: h.Address, Port: h.Port})
		}
		if d := cmp.Diff(targets, got); d != "" {
			t.Errorf("hosts (-want +got):\n%s", d)
		}
	}
	golden(t, "testdata/starter.golden", string(Starter("prod", targets[:2])))
}

// What is commented out in the starter is what a user will uncomment first.
func TestStarterExamplesLoad(t *testing.T) {
	t.Parallel()
	lines := strings.Split(string(Starter("prod", []Target{{Name: "n1", Address: "192.168.0.1"}})), "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, "    # endpoint:") || (strings.HasPrefix(l, "  # ") && !strings.HasPrefix(l, "  # Without")) {
			lines[i] = strings.Replace(l, "# ", "", 1)
		}
	}
	if _, _, _, err := decode("f", "/site", "/home/admin", []byte(strings.Join(lines, "\n"))); err != nil {
		t.Errorf("%v in\n%s", err, strings.Join(lines, "\n"))
	}
}

func TestScalarTextReadsBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.String().Draw(t, "text")
		var got any
		if err := yaml.Unmarshal([]byte("k: "+scalarText(want)+"\n"), &got); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(map[string]any{"k": want}, got); d != "" {
			t.Fatal(d)
		}
	})
}

func TestHostKeys(t *testing.T) {
	t.Parallel()
	const blob = "AAAAC3NzaC1lZDI1NTE5AAAAIGFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFh"
	for key, ok := range map[string]bool{
		"ssh-ed25519 " + blob:         true,
		"ssh-ed25519 " + blob + " me": true,
		"ssh-rsa " + blob:             false,
		"ssh-ed25519 " + blob[:16]:    false,
		"ssh-ed25519":                 false,
		"SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU": true,
		"SHA256:47DEQpj8HBSa":                                false,
		"MD5:00:11":                                          false,
	} {
		if err := checkHostKey(key); (err == nil) != ok {
			t.Errorf("checkHostKey(%q) = %v", key, err)
		}
	}
}

func TestDurationText(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		5 * time.Minute: "5m", 15 * time.Second: "15s", time.Hour: "1h", 90 * time.Minute: "1h30m", 3601 * time.Second: "1h0m1s", 10 * time.Minute: "10m",
		90 * time.Second: "1m30s", 20 * time.Hour: "20h",
	} {
		if got, _ := Duration(d).MarshalText(); string(got) != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}

func TestViewIsTheSameInJSONAndYAML(t *testing.T) {
	t.Parallel()
	c, _, err := Load("testdata/valid/every-key.yaml")
	if err != nil {
		t.Fatal(err)
	}
	view := c.Show()
	raw, err := json.Marshal(view)
	if err != nil {
		t.Fatal(err)
	}
	text, err := view.YAML()
	if err != nil {
		t.Fatal(err)
	}
	var fromJSON, fromYAML any
	if err := yaml.Unmarshal(raw, &fromJSON); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &fromYAML); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	if d := cmp.Diff(fromJSON, fromYAML); d != "" {
		t.Errorf("YAML differs (-json +yaml):\n%s", d)
	}
	if strings.ContainsAny(string(text[:20]), "{\"") {
		t.Errorf("YAML looks like JSON: %s", text[:20])
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	data := "apiVersion: kforge.dev/v1alpha1\nkind: Cluster\nmetadata: {name: t}\nspec:\n  kubernetes: {version: v1.37.99}\n  hosts:\n    - {name: a, address: a, roles: [control-plane]}\n"
	_, _, warnings, err := Decode("f", ".", []byte(data))
	if err != nil {
		t.Fatal(err)
	}
	want := "[f:5:25: Kubernetes v1.37.99 is newer than this kforge knows (v1.37.2) f:7:5: no host has the role worker: ordinary pods have nowhere to run]"
	if got := fmt.Sprint(warnings); got != want {
		t.Errorf("warnings = %s, want %s", got, want)
	}
}

func TestHomeIsNeededOnlyForPathsInIt(t *testing.T) {
	t.Parallel()
	data := "apiVersion: kforge.dev/v1alpha1\nkind: Cluster\nmetadata: {name: t}\nspec:\n  hosts: {a: a}\n"
	if _, _, _, err := decode("f", "/site", "", []byte(data)); err == nil || !strings.Contains(err.Error(), "HOME") {
		t.Errorf("the default known_hosts without a home: %v", err)
	}
	_, c, _, err := decode("f", "/site", "", []byte(data+"  ssh: {knownHosts: kh}\n"))
	if err != nil || c.SSH.KnownHosts != "/site/kh" {
		t.Errorf("decode = %v, %v", c, err)
	}
}
