package resource_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"kforge.dev/kforge/pkg/resource"
)

// parentOf makes the test program run a command with Exec, as an agent does.
const parentOf = "KFORGE_TEST_PARENT"

func TestChildDiesWithAKilledAgent(t *testing.T) {
	t.Parallel()
	if os.Getenv(parentOf) != "" {
		_, err := resource.Exec{}.Run(context.Background(), resource.Cmd{
			Argv: []string{"sh", "-c", "echo $$; exec sleep 60"}, Line: func(pid string) { fmt.Println("child", pid) },
		})
		t.Fatalf("the child ended: %v", err)
	}
	parent := exec.Command(os.Args[0], "-test.run=^TestChildDiesWithAKilledAgent$")
	parent.Env = append(os.Environ(), parentOf+"=1")
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	child := 0
	for lines := bufio.NewScanner(out); child == 0 && lines.Scan(); {
		if _, pid, ok := strings.Cut(lines.Text(), "child "); ok {
			if child, err = strconv.Atoi(pid); err != nil {
				t.Fatal(err)
			}
		}
	}
	if child == 0 {
		t.Fatal("no child was begun")
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	parent.Wait() // killed
	for end := time.Now().Add(5 * time.Second); running(child); {
		if time.Now().After(end) {
			syscall.Kill(child, syscall.SIGKILL)
			t.Fatal("the child lives on")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// running tells whether a process is there and no zombie.
func running(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, after, _ := strings.Cut(string(stat), ") ")
	return err == nil && !strings.HasPrefix(after, "Z")
}
