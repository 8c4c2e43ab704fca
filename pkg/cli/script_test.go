package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"kforge.dev/kforge/pkg/ssh/sshtest"
)

var update = flag.Bool("update", false, "rewrite the expected outputs in testdata")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"kforge": func() {
			os.Exit(Main(context.Background(), Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}, os.Args[1:]))
		},
	})
}

// TestScripts runs the command line as a user would. Beside the commands of
// testscript there are:
//
//	exits CODE ARGS...   run kforge and want that exit code
//	calm                 no panic, no stack and no secret in the last output
//	sshd NAME            start an SSH server that knows nobody; its port is $NAME
//	mirror NAME          start a mirror that has nothing; its port is $NAME
func TestScripts(t *testing.T) {
	recordings, err := filepath.Abs("testdata/recordings")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                "testdata",
		RequireUniqueNames: true,
		UpdateScripts:      *update,
		Setup: func(env *testscript.Env) error {
			for _, v := range []string{"HOME=" + env.WorkDir, "XDG_STATE_HOME=" + env.WorkDir + "/state", "XDG_CACHE_HOME=" + env.WorkDir + "/cache",
				"LANG=C.UTF-8", "LC_ALL=", "SSH_AUTH_SOCK=", "KFORGE_INVENTORY=", "RECORDINGS=" + recordings} {
				name, value, _ := strings.Cut(v, "=")
				env.Setenv(name, value)
			}
			return os.Mkdir(filepath.Join(env.WorkDir, ".ssh"), 0o700)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "calm": calm, "sshd": sshd, "mirror": mirror,
		},
	})
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: exits CODE ARGS...")
	}
	want, err := strconv.Atoi(args[0])
	if err != nil {
		ts.Fatalf("exit code: %v", err)
	}
	err = ts.Exec("kforge", args[1:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("running kforge: %v", err)
	}
	calm(ts, false, nil)
	if got != want {
		ts.Fatalf("kforge %s ended with %d, want %d\n%s", strings.Join(args[1:], " "), got, want, ts.ReadFile("stderr"))
	}
}

// calm looks for what must not reach a user.
func calm(ts *testscript.TestScript, _ bool, _ []string) {
	for _, stream := range []string{"stdout", "stderr"} {
		text := ts.ReadFile(stream)
		for _, bad := range []string{"panic:", "goroutine ", "runtime error", "0xc000", "%!", "<nil>", "PRIVATE KEY", "hunter2"} {
			if strings.Contains(text, bad) {
				ts.Fatalf("%s holds %q:\n%s", stream, bad, text)
			}
		}
	}
}

func sshd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: sshd NAME")
	}
	srv, err := sshtest.Start(sshtest.Options{})
	if err != nil {
		ts.Fatalf("starting an SSH server: %v", err)
	}
	ts.Defer(func() { _ = srv.Close() })
	ts.Setenv(args[0], fmt.Sprint(srv.Port()))
}

func mirror(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: mirror NAME")
	}
	srv := httptest.NewServer(http.NotFoundHandler())
	ts.Defer(srv.Close)
	_, port, _ := strings.Cut(srv.Listener.Addr().String(), ":")
	ts.Setenv(args[0], port)
}
