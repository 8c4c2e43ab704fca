package inventory

import (
	_ "embed"
	"slices"
)

//go:generate go test -run "TestSchemaIsCurrent|TestDocsAreCurrent" -update .

//go:embed schema.json
var schema []byte

// Schema is the JSON Schema of an inventory, for `kforge inventory schema` and
// for editors. It is generated from the types; docs/schema holds the same.
func Schema() []byte { return slices.Clone(schema) }
