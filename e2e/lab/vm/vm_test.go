package vm

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kforge.dev/kforge/e2e/lab/host"
	"kforge.dev/kforge/e2e/lab/proc"
)

func TestParseDisks(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Disks{"": {}, "2x1G": {2, "1G"}, "7x512M": {7, "512M"}} {
		if got, err := ParseDisks(text); err != nil || got != want {
			t.Errorf("ParseDisks(%q) = %+v, %v, want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"2", "x1G", "8x1G", "0x1G", "2x0G", "2x1G;reboot"} {
		if got, err := ParseDisks(text); err == nil {
			t.Errorf("ParseDisks(%q) = %+v, want an error", text, got)
		}
	}
}

func testLab(t *testing.T) *host.Lab { return &host.Lab{State: t.TempDir()} }

func TestUpRefusesOddNumbersAndSizes(t *testing.T) {
	t.Parallel()
	if _, err := Up(t.Context(), testLab(t), "image", 0, Options{}); err == nil {
		t.Error("Up of no machine succeeded")
	}
	if _, err := Up(t.Context(), testLab(t), "image", 1, Options{Memory: "lots"}); err == nil || !strings.Contains(err.Error(), `memory "lots"`) {
		t.Errorf("Up() = %v, want an error about memory", err)
	}
}

func TestCommandLine(t *testing.T) {
	t.Parallel()
	_, m := newHost(&host.Lab{State: "/state"}, 2)
	got := m.args(config{Memory: "1G", Disks: []string{"root.ext4", "disk1"}})
	want := []string{
		"/state/vms/v2/boot", "ubd0=/state/vms/v2/root.ext4", "ubd1=/state/vms/v2/disk1", "root=/dev/ubda", "rw", "mem=1G", "net.ifnames=0",
		"vec0:transport=tap,ifname=kforge-v2,gro=1,mac=02:42:0a:58:11:20", "con=null", "con0=null,fd:1", "uml_dir=/state/vms/v2/", "umid=run",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("args() (-want +got):\n%s", diff)
	}
	if _, m := newHost(&host.Lab{}, maxVMs); len(m.tap()) > 15 {
		t.Errorf("%s is too long for a network interface", m.tap())
	}
}

func TestQuote(t *testing.T) {
	t.Parallel()
	argv := []string{"printf", "%s|", "a b", "it's", "$HOME", "", "x\ny"}
	out, err := exec.CommandContext(t.Context(), "sh", "-c", quote(argv)).Output()
	if want := strings.Join(argv[2:], "|") + "|"; err != nil || string(out) != want {
		t.Errorf("the shell made %q, %v of it, want %q", out, err, want)
	}
}

func TestRemoteNameServers(t *testing.T) {
	t.Parallel()
	got := string(remote([]byte("# of this machine\nsearch example.org\nnameserver 127.0.0.53\nnameserver 10.0.0.2\nnameserver ::1\nnameserver fd00::2\n")))
	if want := "nameserver 10.0.0.2\nnameserver fd00::2\n"; got != want {
		t.Errorf("remote() = %q, want %q", got, want)
	}
}

// A process id may be that of somebody else by now.
func TestSomebodyElsesProcessIsNotTheMachine(t *testing.T) {
	t.Parallel()
	_, m := newHost(testLab(t), 1)
	for _, text := range []string{"", "1\n", "none"} {
		if err := os.MkdirAll(m.dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(m.file("pid"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if running, err := m.Running(t.Context()); running || err != nil {
			t.Errorf("pid file %q: Running() = %v, %v", text, running, err)
		}
		if err := m.Kill(t.Context()); err != nil {
			t.Errorf("pid file %q: Kill() = %v", text, err)
		}
	}
}

func TestFilesLandInTheImage(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"mke2fs", "debugfs"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("%v: apt-get install e2fsprogs", err)
		}
	}
	ctx, dir := t.Context(), t.TempDir()
	tree, image := filepath.Join(dir, "tree"), filepath.Join(dir, "image")
	if err := os.MkdirAll(filepath.Join(tree, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(tree, "etc/hostname"), []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := proc.Run(ctx, "mke2fs", "-q", "-t", "ext4", "-d", tree, image, "8M"); err != nil {
		t.Fatal(err)
	}
	files := []host.File{
		{Path: "/etc/hostname", Mode: 0o644, Content: []byte("v1\n")},
		{Path: "/etc/", Mode: 0o755},
		{Path: "/key/", Mode: 0o700, Owner: 1000},
		{Path: "/key/id", Mode: 0o600, Owner: 1000, Content: []byte("secret\n")},
	}
	for range 2 { // over what is there, too
		if err := writeInto(ctx, image, files); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]string{"/etc/hostname": "v1", "/key/id": "secret"} {
		if got, err := proc.Output(ctx, "debugfs", "-R", "cat "+path, image); err != nil || got != want {
			t.Errorf("%s holds %q, %v, want %q", path, got, err, want)
		}
	}
	stat, err := proc.Output(ctx, "debugfs", "-R", "stat /key/id", image)
	if err != nil || !strings.Contains(stat, "Mode:  0600") || !strings.Contains(stat, "User:  1000") {
		t.Errorf("stat of /key/id: %v\n%s", err, stat)
	}
	if err := proc.Run(ctx, "e2fsck", "-fn", image); err != nil {
		t.Errorf("the image is damaged: %v", err)
	}
	err = writeInto(ctx, image, []host.File{{Path: "/no/such/file", Mode: 0o644}})
	if err == nil {
		t.Error("writing below a directory that is not there succeeded")
	}
}
