package inventory

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/invopop/jsonschema"
	validator "github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

var update = flag.Bool("update", false, "rewrite golden files, the schema and the table in the docs")

const publishedSchema = "../../docs/schema/v1alpha1.json"

// generateSchema makes the schema from the types, their tags and comments.
func generateSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	r := &jsonschema.Reflector{
		RequiredFromJSONSchemaTags: true,
		Anonymous:                  true,
		ExpandedStruct:             true,
		Mapper:                     mapType,
	}
	if err := r.AddGoComments("kforge.dev/kforge/pkg/inventory", "."); err != nil {
		t.Fatal(err)
	}
	for k, v := range r.CommentMap {
		r.CommentMap[k] = strings.Join(strings.Fields(v), " ")
	}
	s := r.Reflect(&Inventory{})
	s.Title = "kforge inventory, " + APIVersion
	// The short form of hosts: a mapping of names to addresses.
	spec := s.Definitions["Spec"]
	prop, _ := spec.Properties.Get("hosts")
	prop.Type, prop.Ref, prop.Items = "", "", nil
	prop.OneOf = []*jsonschema.Schema{
		{Type: "array", Items: &jsonschema.Schema{Ref: "#/$defs/Host"}, MinItems: ptr(uint64(1))},
		{Type: "object", AdditionalProperties: &jsonschema.Schema{Type: "string"}, MinProperties: ptr(uint64(1))},
	}
	delete(s.Definitions, "HostList")
	return s
}

func mapType(t reflect.Type) *jsonschema.Schema {
	if t == reflect.TypeFor[Duration]() {
		return &jsonschema.Schema{Type: "string", Pattern: `^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`}
	}
	return nil
}

func ptr[T any](v T) *T { return &v }

func TestSchemaIsCurrent(t *testing.T) {
	want, err := json.MarshalIndent(generateSchema(t), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	want = append(want, '\n')
	for _, path := range []string{"schema.json", publishedSchema} {
		if *update {
			if err := os.WriteFile(path, want, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(string(want), string(got)); d != "" {
			t.Errorf("%s is not what the types say; run: go generate ./pkg/inventory (-types +file):\n%s", path, d)
		}
	}
	if !*update && !bytes.Equal(Schema(), want) {
		t.Error("Schema() is not schema.json")
	}
}

// compileSchema gives the shipped schema, ready to validate.
func compileSchema(t *testing.T) *validator.Schema {
	t.Helper()
	doc, err := validator.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := validator.NewCompiler()
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// schemaError validates a YAML text the way an editor does.
func schemaError(t *testing.T, s *validator.Schema, data []byte) error {
	t.Helper()
	var v any
	if err := yaml.Unmarshal(data, &v); err != nil {
		return err
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	doc, err := validator.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(doc)
}

func TestInventoriesOfTheRepository(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../inventories/*.yaml")
	if err != nil || len(files) < 3 {
		t.Fatalf("found %d inventories: %v", len(files), err)
	}
	s := compileSchema(t)
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.HasPrefix(data, []byte("# yaml-language-server: $schema=../docs/schema/v1alpha1.json\n")) {
			t.Errorf("%s: the first line does not name the schema", file)
		}
		if _, warnings, err := Load(file); err != nil || len(warnings) > 0 {
			t.Errorf("Load(%s): warnings %v, error %v", file, warnings, err)
		}
		if err := schemaError(t, s, data); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// What is wrong in form must be wrong for editors too. Files called shape-*
// are wrong in a way that a schema can say.
func TestBothValidatorsRefuseBadShapes(t *testing.T) {
	t.Parallel()
	s := compileSchema(t)
	files, err := filepath.Glob("testdata/invalid/shape-*.yaml")
	if err != nil || len(files) < 5 {
		t.Fatalf("found %d files: %v", len(files), err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, _, err := decode(file, "/site", "/home/admin", data); err == nil {
			t.Errorf("%s: the decoder takes it", file)
		}
		if schemaError(t, s, data) == nil {
			t.Errorf("%s: the schema takes it", file)
		}
	}
	valid, err := filepath.Glob("testdata/valid/*.yaml")
	if err != nil || len(valid) == 0 {
		t.Fatalf("found no valid files: %v", err)
	}
	for _, file := range valid {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := schemaError(t, s, data); err != nil {
			t.Errorf("%s: the schema refuses it: %v", file, err)
		}
	}
}
