package host

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"

	"kforge.dev/kforge/e2e/lab/proc"
)

func TestEnsureKeyMakesOnceWhatSSHReads(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "hosts", "n1", "key")
	first, err := ensureKey(path, "n1")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.ParsePrivateKey(first.Private)
	if err != nil {
		t.Fatal(err)
	}
	public, comment, _, _, err := ssh.ParseAuthorizedKey(first.Public)
	if err != nil || comment != "n1" {
		t.Fatalf("public key %q: comment %q, %v", first.Public, comment, err)
	}
	if !bytes.Equal(public.Marshal(), signer.PublicKey().Marshal()) {
		t.Error("the halves of the key do not fit")
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("private key: %v, %v, want mode 0600", info, err)
	}
	second, err := ensureKey(path, "n1")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first, second); diff != "" {
		t.Errorf("the key changed (-first +second):\n%s", diff)
	}
}

func TestIdentityBelongsToItsUsers(t *testing.T) {
	t.Parallel()
	var archive bytes.Buffer
	if err := writeTar(&archive, identity(keyPair{[]byte("private"), []byte("public")}, keyPair{Public: []byte("login")})); err != nil {
		t.Fatal(err)
	}
	type attributes struct {
		Mode  int64
		Owner int
	}
	got := map[string]attributes{}
	for r := tar.NewReader(&archive); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got[header.Name] = attributes{header.Mode, header.Uid}
	}
	want := map[string]attributes{
		"etc/ssh/ssh_host_ed25519_key": {0o600, 0}, "etc/ssh/ssh_host_ed25519_key.pub": {0o644, 0},
		"root/.ssh/": {0o700, 0}, "root/.ssh/authorized_keys": {0o600, 0},
		"home/kforge/.ssh/": {0o700, 1000}, "home/kforge/.ssh/authorized_keys": {0o600, 1000},
		"home/asks/.ssh/": {0o700, 1001}, "home/asks/.ssh/authorized_keys": {0o600, 1001},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("identity (-want +got):\n%s", diff)
	}
}

func TestCreateArgs(t *testing.T) {
	t.Parallel()
	args := createArgs("n2", address(2), "image", "owner")
	if slices.Contains(args, "--privileged") {
		t.Error("a privileged container has CAP_SYS_RESOURCE, or fails where root has not")
	}
	line := strings.Join(args, " ")
	for _, want := range []string{"--name kforge-lab-n2", "--hostname n2", "--ip 10.88.17.12", "--cap-drop SYS_RESOURCE", "--device /dev/kmsg", "--volume /var"} {
		if !strings.Contains(line, want) {
			t.Errorf("arguments %s lack %s", line, want)
		}
	}
	if args[len(args)-1] != "image" {
		t.Errorf("the image must come last: %s", line)
	}
}

func TestEveryFaultIsNamed(t *testing.T) {
	t.Parallel()
	want := []string{
		"clock-ahead", "clock-daemon", "containerd", "disk", "disk-ext4", "disk-lvm", "dns", "dns-loop", "hostkey", "kill", "link-mtu",
		"machine-id", "mtu", "net", "port", "split", "sshd", "sudo", "swap-file", "swap-partition", "swap-unit", "swap-zram", "var",
	}
	if diff := cmp.Diff(want, Faults()); diff != "" {
		t.Errorf("Faults() (-want +got):\n%s", diff)
	}
	err := (&Host{Name: "n1"}).Break(t.Context(), "fog")
	if err == nil || !strings.Contains(err.Error(), `unknown fault "fog" (known: clock-ahead clock-daemon containerd`) {
		t.Errorf("Break(fog) = %v", err)
	}
}

// The clock and the swap of a container are those of this machine.
func TestContainersRefuseFaultsOfMachines(t *testing.T) {
	t.Parallel()
	for f := range machineFaults {
		err := (&Lab{}).docked(1).Break(t.Context(), f)
		if err == nil || !strings.Contains(err.Error(), "needs a host with a kernel of its own") {
			t.Errorf("Break(%s) = %v", f, err)
		}
		if _, both := faults[f]; both {
			t.Errorf("fault %s is there twice", f)
		}
	}
}

// Without its peer a fault between two hosts is nothing, and no other fault has one.
func TestPeersOfFaults(t *testing.T) {
	t.Parallel()
	n1, n2 := (&Lab{}).docked(1), (&Lab{}).docked(2)
	for want, err := range map[string]error{
		"port is between two hosts: name another one":       n1.Break(t.Context(), Port),
		"machine-id is between two hosts: name another one": n1.Break(t.Context(), MachineID, n1),
		"dns is no fault between two hosts":                 n1.Break(t.Context(), DNS, n2),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Break() = %v, want %s", err, want)
		}
	}
}

func TestUpChecksItsNumber(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, -1, 201} {
		if _, err := (&Lab{State: t.TempDir(), Log: io.Discard}).Up(t.Context(), Root{}, n); err == nil {
			t.Errorf("Up(%d) succeeded", n)
		}
	}
}

func TestExitCode(t *testing.T) {
	t.Parallel()
	for want, err := range map[int]error{
		0:  nil,
		7:  proc.Run(t.Context(), "sh", "-c", "exit 7"),
		-1: proc.Run(t.Context(), "/no/such/program"),
	} {
		if got := ExitCode(err); got != want {
			t.Errorf("ExitCode(%v) = %d, want %d", err, got, want)
		}
	}
}
