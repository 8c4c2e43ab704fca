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
	if a.Size != 7 || a.FileName() != "kforge-agent-"+FromBinaries(map[string][]byte{"x": []byte("program")}).cache["x"].Digest {
		t.Errorf("For = %d bytes named %s", a.Size, a.FileName())
	}
	for range 2 { // unpacked, then kept
		if bin, err := s.Binary("arm64"); string(bin) != "program" || err != nil {
			t.Errorf("Binary = %q, %v", bin, err)
		}
	}
	if _, err := s.Binary("riscv64"); diag.KindOf(err) != diag.Unsupported {
		t.Errorf("binary of a missing architecture: %v, want kind unsupported", err)
	}
	if _, err := s.For("riscv64"); diag.KindOf(err) != diag.Unsupported || diag.Hint(err) == "" {
		t.Errorf("missing architecture: %v, want kind unsupported with a hint", err)
	}
}
