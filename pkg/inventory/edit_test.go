package inventory

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"kforge.dev/kforge/pkg/diag"
)

// edits by the name of the output that they make of each file in testdata/edit.
var edits = map[string]Edit{
	"add": {Add: []Host{{Name: "n8", Address: "10.0.0.8"}}},
	"add-more": {Add: []Host{
		{Name: "n8", Address: "fd00::8", Class: "gpu", HostSettings: HostSettings{User: "admin", Port: 2222, Labels: map[string]string{"example.com/rack": "8"}}},
		{Name: "n9", Address: "10.0.0.9", NodeIP: "192.168.0.9", HostSettings: HostSettings{Roles: []string{RoleWorker}}},
	}},
	"remove-first":  {Remove: []string{"n1"}},
	"remove-middle": {Remove: []string{"n2"}},
	"remove-last":   {Remove: []string{"n3"}},
	"remove-two":    {Remove: []string{"n3", "n2"}},
	"version":       {Version: "v1.36.3"},
	"renewal":       {Renewal: "*-*-* 03:00"},
	"renewal-off":   {Renewal: "off"},
	"replace":       {Add: []Host{{Name: "n2", Address: "10.0.0.22"}}, Remove: []string{"n2"}},
}

// TestEdit runs the edits that each archive has an output for. What an archive
// cannot hold is made of it: "crlf" in its comment gives the lines ends of
// Windows, "cut" takes the last line's end away.
func TestEdit(t *testing.T) {
	files, err := filepath.Glob("testdata/edit/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no files", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			ar, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			in := dress(ar, ar.Files[0].Data)
			if _, _, _, err := Decode("in.yaml", ".", in); err != nil {
				t.Fatalf("the input is bad: %v", err)
			}
			for i, f := range ar.Files[1:] {
				e, ok := edits[f.Name]
				if !ok {
					t.Fatalf("no edit is called %q", f.Name)
				}
				out, c, err := e.Text("in.yaml", ".", in)
				if err != nil {
					out = []byte("error: " + err.Error() + "\nhint: " + diag.Hint(err) + "\n")
				} else {
					checkEdited(t, f.Name, e, in, out, c)
				}
				if *update {
					ar.Files[i+1].Data = []byte(strings.ReplaceAll(strings.TrimSuffix(string(out), "\n")+"\n", "\r", ""))
					continue
				}
				want := f.Data
				if err == nil {
					want = dress(ar, f.Data)
				}
				if d := cmp.Diff(string(want), string(out)); d != "" {
					t.Errorf("%s (-want +got):\n%s", f.Name, d)
				}
			}
			if *update {
				if err := os.WriteFile(file, txtar.Format(ar), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func dress(ar *txtar.Archive, data []byte) []byte {
	text := string(data)
	if strings.Contains(string(ar.Comment), "crlf") {
		text = strings.ReplaceAll(text, "\n", "\r\n")
	}
	if strings.Contains(string(ar.Comment), "cut") {
		text = strings.TrimRight(text, "\r\n")
	}
	return []byte(text)
}

// checkEdited holds what is true of every edit: the hosts that stay have the
// settings that they had, and who only adds loses no comment.
func checkEdited(t *testing.T, name string, e Edit, in, out []byte, c *Cluster) {
	t.Helper()
	_, before, _, err := Decode("in.yaml", ".", in)
	if err != nil {
		t.Fatal(err)
	}
	_, again, _, err := Decode("in.yaml", ".", out)
	if err != nil {
		t.Fatalf("%s: the outcome does not load: %v\n%s", name, err, out)
	}
	if d := cmp.Diff(again, c); d != "" {
		t.Errorf("%s: what was given is not what is in the text:\n%s", name, d)
	}
	for _, b := range before.Hosts {
		a, ok := again.Host(b.Name)
		if slices.Contains(e.Remove, b.Name) {
			continue
		}
		if !ok || !slices.Equal(a.Roles, b.Roles) || a.Address != b.Address || a.Class != b.Class {
			t.Errorf("%s: host %s became %+v, was %+v", name, b.Name, a, b)
		}
	}
	for line := range strings.SplitSeq(string(in), "\n") {
		_, comment, ok := strings.Cut(strings.TrimRight(line, "\r"), "# ")
		if ok && len(e.Remove) == 0 && !strings.Contains(string(out), comment) {
			t.Errorf("%s: the comment %q is lost:\n%s", name, comment, out)
		}
	}
}

func TestEditRefuses(t *testing.T) {
	t.Parallel()
	const text = "apiVersion: kforge.dev/v1alpha1\nkind: Cluster\nmetadata: {name: t}\nspec:\n  hosts:\n    n1: 10.0.0.1\n    n2: 10.0.0.2\n"
	for _, tc := range []struct {
		name string
		e    Edit
		want []string
	}{
		{"a host that is there", Edit{Add: []Host{{Name: "n1", Address: "10.0.0.9"}}}, []string{`has a host "n1" already`}},
		{"hosts that are not there", Edit{Remove: []string{"n8", "n9"}}, []string{`no host "n8"`, `no host "n9"`}},
		{"an address that is taken", Edit{Add: []Host{{Name: "n3", Address: "10.0.0.1"}}}, []string{`address 10.0.0.1 is that of host "n1"`}},
		{"a bad name and address", Edit{Add: []Host{{Name: "N_3", Address: "::"}}}, []string{"N_3", `"::" is not the address of a host`}},
		{"every host", Edit{Remove: []string{"n1", "n2"}}, []string{"kforge does not change by itself"}},
	} {
		out, _, err := tc.e.Text("x.yaml", ".", []byte(text))
		if err == nil {
			t.Errorf("%s: no error, got\n%s", tc.name, out)
			continue
		}
		for _, want := range tc.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: the error has no %q: %v", tc.name, want, err)
			}
		}
	}
}

func TestEditFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, link := filepath.Join(dir, "real.yaml"), filepath.Join(dir, "link.yaml")
	if err := os.WriteFile(path, Starter("t", []Target{{Name: "n1", Address: "10.0.0.1"}}), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("real.yaml", link); err != nil {
		t.Fatal(err)
	}
	// Edits at once, some by the link, come one after the other.
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			e := Edit{Add: []Host{{Name: "m" + string(rune('0'+i)), Address: "10.0.1." + string(rune('0'+i))}}}
			if err := e.File([]string{path, link}[i%2]); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	c, _, err := Load(link)
	if err != nil || len(c.Hosts) != 11 {
		t.Fatalf("want 11 hosts, got %+v, %v", c, err)
	}
	if !c.Hosts[0].ControlPlane() || !c.Hosts[0].Worker() {
		t.Errorf("the host that was alone lost a role: %v", c.Hosts[0].Roles)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is none any more: %v %v", info, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode: %v %v", info.Mode(), err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// FuzzEdit: whatever the text, an edit gives what was meant or refuses.
func FuzzEdit(f *testing.F) {
	files, _ := filepath.Glob("testdata/edit/*.txtar")
	for _, file := range files {
		ar, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(dress(ar, ar.Files[0].Data))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, e := range edits {
			out, _, err := e.Text("in.yaml", ".", data)
			if err != nil {
				continue
			}
			if _, _, _, err := Decode("in.yaml", ".", out); err != nil {
				t.Errorf("an edit made a bad inventory: %v\n%s", err, out)
			}
		}
	})
}
