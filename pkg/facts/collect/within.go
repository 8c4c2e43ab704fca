package collect

import (
	"path/filepath"
	"strconv"
	"time"
)

// slowRead is how long a device may take to answer. A read of a dying disk or
// a hung driver can take minutes and cannot be called off.
const slowRead = 2 * time.Second

// within gives what f gives, or false when f takes too long. f is left behind
// then, blocked in the kernel, and ends with the read or the process: it must
// touch nothing but what it returns.
func within[T any](d time.Duration, f func() T) (T, bool) {
	done := make(chan T, 1)
	go func() { done <- f() }()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case v := <-done:
		return v, true
	case <-timer.C:
		var zero T
		return zero, false
	}
}

// glob gives the host's paths that match, sorted, without the root.
func (h *host) glob(pattern string) []string {
	found, err := filepath.Glob(filepath.Join(escapeGlob(h.root), pattern))
	if err != nil {
		return nil
	}
	out := make([]string, 0, len(found))
	for _, p := range found {
		rel, err := filepath.Rel(h.root, p)
		if err == nil {
			out = append(out, "/"+rel)
		}
	}
	return out
}

func escapeGlob(s string) string {
	out := make([]byte, 0, len(s))
	for i := range len(s) {
		switch s[i] {
		case '*', '?', '[', '\\':
			out = append(out, '\\')
		}
		out = append(out, s[i])
	}
	return string(out)
}

// number gives the number in a file, 0 when there is none.
func (h *host) number(p string) int {
	n, err := strconv.Atoi(h.line(p))
	if err != nil {
		return 0
	}
	return n
}
