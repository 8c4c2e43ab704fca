package plan_test

import (
	"fmt"
	"testing"

	"kforge.dev/kforge/pkg/node/nodetest"
	"kforge.dev/kforge/pkg/plan"
)

// A thousand bare hosts: planning must not be felt beside one SSH handshake
// with each.
func BenchmarkBuild1000(b *testing.B) {
	in := bare()
	for i := 4; i <= 1000; i++ {
		h := in.Cluster.Hosts[2]
		h.Name, h.Address = fmt.Sprintf("n%d", i), fmt.Sprintf("10.0.%d.%d", 1+i/200, 1+i%200)
		in.Cluster.Hosts = append(in.Cluster.Hosts, h)
		in.Facts[h.Name] = nodetest.Machine(h.Address)
	}
	for b.Loop() {
		if _, err := plan.Build(in); err != nil {
			b.Fatal(err)
		}
	}
}
