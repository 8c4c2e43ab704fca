package bundle

// Entry is what the lock file records of one item.
type Entry struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Arch    string `json:"arch"`
	Kind    Kind   `json:"kind"`
	// Source is the official address, whatever mirror it came from.
	Source string `json:"source"`
	// SHA256 of the file, or of the image's OCI archive: 64 hex digits.
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"` // bytes of that
	// Manifest is "sha256:hex" of an image's manifest for this architecture.
	Manifest string `json:"manifest,omitempty"`
}

// key identifies an artifact: one source may serve several architectures.
type key struct{ source, arch string }

func keyOf(i Item) key { return key{i.Source(), i.Arch} }
