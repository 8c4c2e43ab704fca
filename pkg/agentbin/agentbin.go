// Package agentbin carries kforge-agent, one per architecture, inside kforge.
// The build writes them (make agents); a kforge without them says so.
package agentbin

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"sort"
	"strings"
	"sync"

	"kforge.dev/kforge/pkg/diag"
)

// agents/ holds kforge-agent-linux-ARCH.gz; README.txt keeps the pattern valid
// in a checkout that has not been built.
//
//go:embed agents
var embedded embed.FS

// Agent is the program for one architecture.
type Agent struct {
	Arch   string // amd64, arm64
	Digest string // hex sha256 of the program, also part of its name on hosts
	Size   int64
}

// FileName on hosts: content-addressed, so that two builds never collide.
func (a Agent) FileName() string { return "kforge-agent-" + a.Digest }

// Set gives agents by architecture.
type Set struct {
	files fs.FS

	mu       sync.Mutex
	cache    map[string]Agent
	binaries map[string][]byte // unpacked: only those that a host was in need of
}

// Embedded is the set that was built into this program.
func Embedded() *Set {
	sub, err := fs.Sub(embedded, "agents")
	if err != nil { // only for an invalid path, and this one is constant
		panic(err)
	}
	return FromFS(sub)
}

// FromFS makes a set from a file system that holds kforge-agent-linux-ARCH.gz.
func FromFS(files fs.FS) *Set {
	return &Set{files: files, cache: map[string]Agent{}, binaries: map[string][]byte{}}
}

// FromBinaries makes a set of programs that are at hand, by architecture.
func FromBinaries(byArch map[string][]byte) *Set {
	s := &Set{cache: map[string]Agent{}, binaries: byArch}
	for arch, bin := range byArch {
		sum := sha256.Sum256(bin)
		s.cache[arch] = Agent{Arch: arch, Digest: hex.EncodeToString(sum[:]), Size: int64(len(bin))}
	}
	return s
}

// Arches lists what the set has, sorted.
func (s *Set) Arches() []string {
	seen := map[string]bool{}
	s.mu.Lock()
	for arch := range s.cache {
		seen[arch] = true
	}
	s.mu.Unlock()
	if s.files != nil {
		names, _ := fs.Glob(s.files, "kforge-agent-linux-*.gz")
		for _, n := range names {
			seen[strings.TrimSuffix(strings.TrimPrefix(n, "kforge-agent-linux-"), ".gz")] = true
		}
	}
	var out []string
	for arch := range seen {
		out = append(out, arch)
	}
	sort.Strings(out)
	return out
}

// For tells of the agent of an architecture; kind unsupported when there is none.
func (s *Set) For(arch string) (Agent, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a, ok := s.cache[arch]; ok {
		return a, nil
	}
	sum := sha256.New()
	size, err := s.unpack(arch, sum)
	if err != nil {
		return Agent{}, err
	}
	a := Agent{Arch: arch, Digest: hex.EncodeToString(sum.Sum(nil)), Size: size}
	s.cache[arch] = a
	return a, nil
}

// Binary gives the program itself. Hosts usually have it: megabytes that are
// mostly not needed are not held in memory.
func (s *Set) Binary(arch string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if bin, ok := s.binaries[arch]; ok {
		return bin, nil
	}
	var bin bytes.Buffer
	if _, err := s.unpack(arch, &bin); err != nil {
		return nil, err
	}
	s.binaries[arch] = bin.Bytes()
	return bin.Bytes(), nil
}

func (s *Set) unpack(arch string, to io.Writer) (int64, error) {
	if s.files == nil {
		return 0, missing(arch)
	}
	packed, err := s.files.Open("kforge-agent-linux-" + arch + ".gz")
	if errors.Is(err, fs.ErrNotExist) {
		return 0, missing(arch)
	}
	if err != nil {
		return 0, diag.Wrap(diag.Internal, "read agent for "+arch, err)
	}
	defer packed.Close()
	zr, err := gzip.NewReader(packed)
	if err != nil {
		return 0, diag.Wrap(diag.Internal, "unpack agent for "+arch, err)
	}
	n, err := io.Copy(to, zr)
	if err != nil {
		return 0, diag.Wrap(diag.Internal, "unpack agent for "+arch, err)
	}
	return n, nil
}

func missing(arch string) error {
	return diag.New(diag.Unsupported, "find agent", "this kforge has no agent for linux/%s in it", arch).
		WithHint("build kforge with `make build`, which makes the agents for linux/amd64 and linux/arm64")
}
