package agentbin

import (
	"bytes"
	"compress/gzip"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"kforge.dev/kforge/pkg/diag"
)

func TestSet(t *testing.T) {
	t.Parallel()
	var packed bytes.Buffer
	zw := gzip.NewWriter(&packed)
	zw.Write([]byte("program"))
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	s := FromFS(fstest.MapFS{"kforge-agent-linux-arm64.gz": {Data: packed.Bytes()}})
	if d := cmp.Diff([]string{"arm64"}, s.Arches()); d != "" {
		t.Errorf("Arches (-want +got):\n%s", d)
	}
	a, err := s.For("arm64")
	if err != nil {
		t.Fatal(err)
	}
	if string(a.Binary) != "program" || a.FileName() != "kforge-agent-"+FromBinaries(map[string][]byte{"x": []byte("program")}).cache["x"].Digest {
		t.Errorf("For = %q named %s", a.Binary, a.FileName())
	}
	if _, err := s.For("riscv64"); diag.KindOf(err) != diag.Unsupported || diag.Hint(err) == "" {
		t.Errorf("missing architecture: %v, want kind unsupported with a hint", err)
	}
}
