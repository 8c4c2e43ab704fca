package ssh

import (
	"path/filepath"
	"testing"
	"time"
)

// A slow machine's own limit counts for its last hop; bastions keep the usual.
func TestConnectTimeoutOfAHost(t *testing.T) {
	t.Parallel()
	d, err := NewDialer(Config{ConnectTimeout: 15 * time.Second, KnownHosts: filepath.Join(t.TempDir(), "known_hosts")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	for _, tt := range []struct{ own, want time.Duration }{{0, 15 * time.Second}, {time.Minute, time.Minute}} {
		h, err := d.resolve(Target{Address: "10.0.0.1", User: "root", ConnectTimeout: tt.own})
		if err != nil || h.limit != tt.want {
			t.Errorf("own limit %s: %s, %v; want %s", tt.own, h.limit, err, tt.want)
		}
	}
}
