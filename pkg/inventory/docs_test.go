package inventory

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/invopop/jsonschema"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/diag/errlist"
)

const docs = "../../docs/inventory.md"

// badExample is the file whose errors the docs show.
const badExample = `apiVersion: kforge.dev/v1alpha1
kind: Cluster
metadata: {name: example}
spec:
  network: {podCIDR: 10.20.0.0/16}
  hosts:
    - name: node1
      address: 10.20.0.10
      prot: 22
    - {name: node2, address: 10.20.0.10, class: gpu}
`

// The parts of the docs between markers are made from the types and the code.
func TestDocsAreCurrent(t *testing.T) {
	raw, err := os.ReadFile(docs)
	if err != nil {
		t.Fatal(err)
	}
	want := string(raw)
	comments := fieldComments(t)
	host, settings := reflect.TypeFor[Host](), reflect.TypeFor[HostSettings]()
	var hostOnly []field
	for _, f := range fieldsOf(host) {
		if len(f.index) == 1 {
			hostOnly = append(hostOnly, f)
		}
	}
	want = between(t, want, "<!-- keys: cluster -->", "<!-- end of keys -->", keyTable(reflect.TypeFor[Inventory](), fieldsOf(reflect.TypeFor[Inventory]()), comments))
	want = between(t, want, "<!-- keys: host -->", "<!-- end of keys -->", keyTable(host, hostOnly, comments))
	want = between(t, want, "<!-- keys: settings -->", "<!-- end of keys -->", keyTable(settings, fieldsOf(settings), comments))
	want = between(t, want, "<!-- errors -->", "<!-- end of errors -->", exampleErrors(t))
	if *update {
		if err := os.WriteFile(docs, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if d := cmp.Diff(want, string(raw)); d != "" {
		t.Errorf("%s is not what the code says; run: go generate ./pkg/inventory (-code +docs):\n%s", docs, d)
	}
}

// between puts text between two markers.
func between(t *testing.T, doc, start, end, text string) string {
	t.Helper()
	i := strings.Index(doc, start)
	j := strings.Index(doc[max(i, 0):], end)
	if i < 0 || j < 0 {
		t.Fatalf("%s has no %s ... %s", docs, start, end)
	}
	return doc[:i+len(start)] + "\n" + text + doc[i+j:]
}

func fieldComments(t *testing.T) map[string]string {
	t.Helper()
	r := &jsonschema.Reflector{}
	if err := r.AddGoComments("kforge.dev/kforge/pkg/inventory", "."); err != nil {
		t.Fatal(err)
	}
	return r.CommentMap
}

// keyTable is a Markdown table of the keys of a struct type, those of structs
// inside it by their path.
func keyTable(t reflect.Type, fields []field, comments map[string]string) string {
	var b strings.Builder
	b.WriteString("\n| key | default | meaning |\n| --- | --- | --- |\n")
	keyRows(&b, "", t, fields, comments)
	b.WriteString("\n")
	return b.String()
}

func keyRows(b *strings.Builder, prefix string, t reflect.Type, fields []field, comments map[string]string) {
	for _, f := range fields {
		inner := f.typ
		name := prefix + f.name
		if inner.Kind() == reflect.Struct && inner != reflect.TypeFor[HostSettings]() {
			keyRows(b, name+".", inner, fieldsOf(inner), comments)
			continue
		}
		def := "–"
		switch {
		case f.rules.required:
			def = "**required**"
		case f.rules.def != "":
			def = "`" + f.rules.def + "`"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", name, def, strings.ReplaceAll(meaning(t, f, comments), "|", `\|`))
		if inner == reflect.TypeFor[[]Taint]() {
			keyRows(b, name+"[].", inner.Elem(), fieldsOf(inner.Elem()), comments)
		}
	}
}

func meaning(t reflect.Type, f field, comments map[string]string) string {
	sf := t.FieldByIndex(f.index)
	text := strings.Join(strings.Fields(comments["kforge.dev/kforge/pkg/inventory."+t.Name()+"."+sf.Name]), " ")
	if len(f.rules.enum) > 0 {
		text += " One of: `" + strings.Join(f.rules.enum, "`, `") + "`."
	}
	if f.rules.max != nil && f.name == "port" {
		text += " 1 to 65535."
	}
	return text
}

func exampleErrors(t *testing.T) string {
	t.Helper()
	_, _, _, err := decode("inventory.yaml", "/site", "/home/admin", []byte(badExample))
	if err == nil {
		t.Fatal("the bad example is good")
	}
	var b strings.Builder
	b.WriteString("\nThis file\n\n```\n" + badExample + "```\n\nhas these errors, each with what to do where that is known:\n\n```\n")
	for _, e := range errlist.Flatten(err) {
		fmt.Fprintln(&b, e)
		if hint := diag.Hint(e); hint != "" {
			fmt.Fprintln(&b, "    fix: "+hint)
		}
	}
	b.WriteString("```\n\n")
	return b.String()
}

func TestEveryKeyIsExplained(t *testing.T) {
	t.Parallel()
	comments := fieldComments(t)
	var walk func(typ reflect.Type)
	walk = func(typ reflect.Type) {
		for _, f := range fieldsOf(typ) {
			inner := f.typ
			for inner.Kind() == reflect.Slice || inner.Kind() == reflect.Map || inner.Kind() == reflect.Pointer {
				inner = inner.Elem()
			}
			if len(f.index) == 1 && inner.Kind() != reflect.Struct && meaning(typ, f, comments) == "" {
				t.Errorf("%s.%s has no comment", typ.Name(), f.name)
			}
			if inner.Kind() == reflect.Struct {
				walk(inner)
			}
		}
	}
	walk(reflect.TypeFor[Inventory]())
}

func TestExamplesInDocsLoad(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(docs)
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(raw, -1)
	if len(blocks) < 2 {
		t.Fatalf("found %d examples", len(blocks))
	}
	for _, b := range blocks {
		if _, _, w, err := decode("f", "/site", "/home/admin", b[1]); err != nil || len(w) > 0 {
			t.Errorf("warnings %v, error %v in\n%s", w, err, b[1])
		}
	}
	for _, minor := range SupportedMinors {
		if !strings.Contains(string(raw), newestPatch[minor]) {
			t.Errorf("%s does not name %s", docs, newestPatch[minor])
		}
	}
}

// The defaults in the tags are what editors and docs show; the merge has its
// own. They must agree.
func TestDefaultsOfTagsAreThoseOfTheMerge(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/valid/short-hosts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, c, _, err := decode("f", "/site", "/home/admin", data)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	view := c.Show()
	for _, s := range append(view.Settings, view.Hosts[1].Settings...) {
		if s.From == fromKforge && !strings.HasPrefix(s.Name, "kubernetes.endpoint") && s.Name != "roles" {
			got[s.Name] = strings.Replace(s.Text(), "/home/admin", "~", 1)
		}
	}
	want := map[string]string{}
	var walk func(prefix string, typ reflect.Type)
	walk = func(prefix string, typ reflect.Type) {
		for _, f := range fieldsOf(typ) {
			if f.typ.Kind() == reflect.Struct && f.typ != reflect.TypeFor[HostSettings]() {
				walk(prefix+f.name+".", f.typ)
			} else if f.rules.def != "" {
				want[prefix+f.name] = f.rules.def
			}
		}
	}
	walk("", reflect.TypeFor[Spec]())
	walk("", reflect.TypeFor[HostSettings]())
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("defaults (-tags +merge):\n%s", d)
	}
}
