package collect

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"kforge.dev/kforge/pkg/facts"
)

func TestParseHexAddr(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"0100007F:0035":                         "127.0.0.1:53",
		"00000000:1F90":                         "0.0.0.0:8080",
		"00000000000000000000000000000000:0016": "[::]:22",
		"0000000000000000FFFF00000100007F:0050": "127.0.0.1:80",
		"0100007F":                              "",
		"01:01":                                 "",
	}
	for in, want := range tests {
		got, ok := parseHexAddr(in)
		if ok != (want != "") || ok && got.String() != want {
			t.Errorf("parseHexAddr(%s) = %v, %v, want %q", in, got, ok, want)
		}
	}
}

func TestParseCPU(t *testing.T) {
	t.Parallel()
	info := "processor\t: 0\nmodel name\t: X\nphysical id\t: 0\n\nprocessor\t: 1\nmodel name\t: X\nphysical id\t: 1\n"
	if d := cmp.Diff(facts.CPU{Model: "X", Logical: 5, Sockets: 2}, parseCPU(info, "0-3,8\n")); d != "" {
		t.Errorf("CPU (-want +got):\n%s", d)
	}
	if got := parseCPU(info, "").Logical; got != 2 {
		t.Errorf("Logical = %d, want 2", got)
	}
}

func TestParseSystemdLib(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]int{
		"libsystemd-shared-252.so": 252, "libsystemd-shared-239-82.el8.so": 239,
		"libsystemd-shared-255.4-1ubuntu8.so": 255, "libsystemd-shared.so": 0, "libsystemd-core-252.so": 0,
	} {
		if got := parseSystemdLib(name); got != want {
			t.Errorf("parseSystemdLib(%s) = %d, want %d", name, got, want)
		}
	}
}

func TestMountOf(t *testing.T) {
	t.Parallel()
	mounts := parseMountinfo("1 0 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n2 1 8:2 / /var rw,noexec - xfs /dev/sda2 rw\n3 1 8:3 / /var\\040x rw - tmpfs tmpfs rw\nbad line\n")
	for path, want := range map[string]string{"/": "/", "/var/lib": "/var", "/various": "/", "/var x/y": "/var x"} {
		if got := mountOf(mounts, path).point; got != want {
			t.Errorf("mountOf(%s) = %s, want %s", path, got, want)
		}
	}
}

func TestDefaultRoute(t *testing.T) {
	t.Parallel()
	head := "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n"
	text := head + "wlan0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\neth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\neth1\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\n"
	if got := parseDefaultRoute(text); got != "eth0" {
		t.Errorf("parseDefaultRoute = %q, want eth0", got)
	}
	if got := parseDefaultRoute(head); got != "" {
		t.Errorf("parseDefaultRoute = %q, want none", got)
	}
}

// FuzzParsers: whatever /proc says, no parser panics.
func FuzzParsers(f *testing.F) {
	f.Add("Iface\tDestination\neth0\t00000000\t0\t0003\t0\t0\t0\t00000000\n")
	f.Add("  0: 0100007F:0035 00000000:0000 0A 0:0 0:0 0 0 0 123\n")
	f.Add("1 0 8:1 / /a\\040b rw - ext4 /dev/sda1 rw\n/x\\04 file 1 2\n")
	f.Add("0-3,8\nID=\"x\nCapEff: zz\nnameserver\n")
	f.Fuzz(func(t *testing.T, s string) {
		parseOSRelease(s)
		parseCaps(s)
		parseModules(s)
		parseCPU(s, s)
		parseMemory(s)
		parseSwaps(s)
		parseFstabSwap(s)
		parseDefaultRoute(s)
		parseResolvConf(s)
		parseSockets(s, "0A")
		mountOf(parseMountinfo(s), "/var")
		parseSystemdLib("libsystemd-shared-" + s)
		loopback(s)
	})
}
