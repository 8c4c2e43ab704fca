package artifact

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/singleflight"
)

// Store keeps finished artifacts, each in a directory of its own that is complete or absent.
type Store struct {
	Dir string    // root of the cache
	Log io.Writer // told when something is built, a line each

	flights singleflight.Group
}

// DefaultDir is $KFORGE_LAB_CACHE, else kforge-lab in the user's cache directory.
func DefaultDir() (string, error) {
	if dir := os.Getenv("KFORGE_LAB_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("finding the cache directory: %w", err)
	}
	return filepath.Join(base, "kforge-lab"), nil
}

// Key names an artifact. Two keys with an equal recipe are the same artifact.
type Key struct {
	Name    string
	Version string
	Recipe  any // all that decides the content; marshalled to JSON
}

// String is the name of the artifact's directory: name, version, and the start of the recipe's digest.
func (k Key) String() string {
	recipe, err := json.Marshal(k.Recipe)
	if err != nil {
		// Recipes are plain structs of this program; one that cannot be marshalled never gets past the tests.
		recipe = fmt.Appendf(nil, "%#v", k.Recipe)
	}
	sum := sha256.Sum256(recipe)
	return fmt.Sprintf("%s-%s-%s", k.Name, k.Version, hex.EncodeToString(sum[:6]))
}

// Path is where the artifact is, once it is built.
func (s *Store) Path(k Key) string { return filepath.Join(s.Dir, "artifacts", k.String()) }

// Ensure returns the artifact's directory and calls build to fill it when it is not there. A build that fails leaves nothing.
func (s *Store) Ensure(ctx context.Context, k Key, build func(ctx context.Context, dir string) error) (string, error) {
	path := s.Path(k)
	_, err, _ := s.flights.Do(path, func() (any, error) {
		if _, err := os.Stat(path); err == nil {
			return nil, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("looking for artifact: %w", err)
		}
		return nil, s.make(ctx, k, path, build)
	})
	return path, err
}

func (s *Store) make(ctx context.Context, k Key, path string, build func(ctx context.Context, dir string) error) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("making the cache: %w", err)
	}
	work, err := os.MkdirTemp(filepath.Dir(path), ".building-"+k.Name+"-")
	if err != nil {
		return fmt.Errorf("making a build directory: %w", err)
	}
	defer os.RemoveAll(work)
	if err := os.Chmod(work, 0o755); err != nil {
		return fmt.Errorf("opening the build directory: %w", err)
	}
	start := time.Now()
	fmt.Fprintf(s.Log, "building %s %s\n", k.Name, k.Version)
	if err := build(ctx, work); err != nil {
		return fmt.Errorf("building %s %s: %w", k.Name, k.Version, err)
	}
	if err := os.Rename(work, path); err != nil {
		// Another process may have been faster; its artifact is as good as ours.
		if _, statErr := os.Stat(path); statErr == nil {
			return nil
		}
		return fmt.Errorf("keeping %s: %w", k.Name, err)
	}
	fmt.Fprintf(s.Log, "built %s %s in %s\n", k.Name, k.Version, time.Since(start).Round(100*time.Millisecond))
	return nil
}
