// Package agentbin carries the programs for hosts inside kforge, one of each per
// architecture: kforge-agent, and kforge-certs for control planes. The build writes
// them (make agents); a kforge without them says so.
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

// agents/ holds PROGRAM-linux-ARCH.gz; README.txt keeps the pattern valid
// in a checkout that has not been built.
//
//go:embed agents
var embedded embed.FS

// Names of the programs.
const (
	agentName = "kforge-agent"
	certsName = "kforge-certs"
)

// Agent is the program for one architecture.
type Agent struct {
	Name   string // kforge-agent, kforge-certs
	Arch   string // amd64, arm64
	Digest string // hex sha256 of the program, also part of its name on hosts
	Size   int64
}

// FileName on hosts: content-addressed, so that two builds never collide.
func (a Agent) FileName() string { return a.Name + "-" + a.Digest }

// Set gives one of the programs by architecture.
type Set struct {
	name  string
	files fs.FS

	mu       sync.Mutex
	cache    map[string]Agent
	binaries map[string][]byte // unpacked: only those that a host was in need of
}

// Embedded are the agents that were built into this program.
func Embedded() *Set { return built(agentName) }

// Certs are the programs that renew certificates on control planes.
func Certs() *Set { return built(certsName) }

func built(name string) *Set {
	sub, err := fs.Sub(embedded, "agents")
	if err != nil { // only for an invalid path, and this one is constant
		panic(err)
	}
	s := FromFS(sub)
	s.name = name
	return s
}

// FromFS makes a set from a file system that holds kforge-agent-linux-ARCH.gz.
func FromFS(files fs.FS) *Set {
	return &Set{name: agentName, files: files, cache: map[string]Agent{}, binaries: map[string][]byte{}}
}

// FromBinaries makes a set of agents that are at hand, by architecture.
func FromBinaries(byArch map[string][]byte) *Set {
	s := &Set{name: agentName, cache: map[string]Agent{}, binaries: byArch}
	for arch, bin := range byArch {
		sum := sha256.Sum256(bin)
		s.cache[arch] = Agent{Name: s.name, Arch: arch, Digest: hex.EncodeToString(sum[:]), Size: int64(len(bin))}
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
		names, _ := fs.Glob(s.files, s.name+"-linux-*.gz")
		for _, n := range names {
			seen[strings.TrimSuffix(strings.TrimPrefix(n, s.name+"-linux-"), ".gz")] = true
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
	a := Agent{Name: s.name, Arch: arch, Digest: hex.EncodeToString(sum.Sum(nil)), Size: size}
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
		return 0, s.missing(arch)
	}
	packed, err := s.files.Open(s.name + "-linux-" + arch + ".gz")
	if errors.Is(err, fs.ErrNotExist) {
		return 0, s.missing(arch)
	}
	if err != nil {
		return 0, diag.Wrap(diag.Internal, "read "+s.name+" for "+arch, err)
	}
	defer packed.Close()
	zr, err := gzip.NewReader(packed)
	if err != nil {
		return 0, diag.Wrap(diag.Internal, "unpack "+s.name+" for "+arch, err)
	}
	n, err := io.Copy(to, zr)
	if err != nil {
		return 0, diag.Wrap(diag.Internal, "unpack "+s.name+" for "+arch, err)
	}
	return n, nil
}

func (s *Set) missing(arch string) error {
	return diag.New(diag.Unsupported, "find "+s.name, "this kforge has no %s for linux/%s in it", s.name, arch).
		WithHint("build kforge with `make build`, which makes the programs for linux/amd64 and linux/arm64")
}
