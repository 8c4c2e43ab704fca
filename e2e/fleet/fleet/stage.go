package fleet

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/rpc"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"kforge.dev/kforge/pkg/agent"
	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/resource"
	"kforge.dev/kforge/pkg/wire"
)

// processEnv tells a program that it is to be an agent, and which one.
const processEnv = "KFORGE_FLEET_AGENT"

const rpcName = "Stage"

// processConfig is what an agent's process needs to know of its host.
type processConfig struct {
	Root   string
	Mode   wire.Mode
	Digest string
	Uptime time.Duration // of the host when the process starts
	Ahead  time.Duration // of its clock
	Slow   time.Duration // what its disk takes longer
}

// AgentProcess serves an agent when this program was started to be one by a
// fleet, and tells whether it was. Programs named in Options.Program call it
// before anything else.
func AgentProcess() (code int, was bool) {
	text := os.Getenv(processEnv)
	if text == "" {
		return 0, false
	}
	var c processConfig
	err := json.Unmarshal([]byte(text), &c)
	if err == nil {
		err = serveProcess(c)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "kforge-agent:", err)
		return 1, true
	}
	return 0, true
}

func serveProcess(c processConfig) error {
	unix.Umask(0o022) // as the agent's own main does
	conn, err := net.FileConn(os.NewFile(3, "stage"))
	if err != nil {
		return fmt.Errorf("reach the fleet: %w", err)
	}
	began := time.Now()
	stage := &actors{rpc.NewClient(conn), &atomic.Uint64{}}
	defer stage.Close()
	return agent.Serve(context.Background(), agent.Options{
		Root: c.Root, Mode: c.Mode, Digest: c.Digest, Log: os.Stderr, Runner: stage,
		Uptime: func() time.Duration { return c.Uptime + time.Since(began) },
		Now:    func() time.Time { return time.Now().Add(c.Ahead) },
		Euid:   func() int { return 0 },
		Facts:  stage.facts,
		Free:   stage.free,
		Sync:   slowly(c.Root, func() time.Duration { return c.Slow }),
		Seen: func(_ context.Context, h wire.Header) {
			_ = stage.Call(rpcName+".Seen", h.Type, &struct{}{}) // a fleet that is gone counts nothing
		},
	}, os.Stdin, os.Stdout)
}

// Call of a program, and Answer of it, on their way between agent and fleet.
type Call struct {
	ID    uint64
	Argv  []string
	Env   []string
	Stdin []byte
}

// Answer is what the program left; Error is a diag.Error as JSON.
type Answer struct {
	Result resource.Result
	Lines  []string
	Error  []byte
}

// actors is the agent's side: programs are run by the fleet.
type actors struct {
	*rpc.Client
	last *atomic.Uint64
}

func (a *actors) Run(ctx context.Context, c resource.Cmd) (resource.Result, error) {
	call := Call{ID: a.last.Add(1), Argv: c.Argv, Env: c.Env}
	if c.Stdin != nil {
		var err error
		if call.Stdin, err = io.ReadAll(c.Stdin); err != nil {
			return resource.Result{}, err
		}
	}
	var got Answer
	done := a.Go(rpcName+".Run", call, &got, make(chan *rpc.Call, 1)).Done
	select {
	case <-done:
	case <-ctx.Done():
		if err := a.Call(rpcName+".Cancel", call.ID, &struct{}{}); err != nil {
			return resource.Result{}, err
		}
		<-done
		return got.Result, fmt.Errorf("running %s: %w", c.Argv[0], context.Cause(ctx))
	}
	for _, l := range got.Lines {
		if c.Line != nil {
			c.Line(l)
		}
	}
	if got.Error == nil {
		return got.Result, nil
	}
	e := &diag.Error{}
	if err := json.Unmarshal(got.Error, e); err != nil {
		return got.Result, err
	}
	return got.Result, e
}

func (a *actors) facts(_ context.Context, root string) (*facts.Host, error) {
	var raw []byte
	if err := a.Call(rpcName+".Facts", root, &raw); err != nil {
		return nil, err
	}
	h := &facts.Host{}
	return h, json.Unmarshal(raw, h)
}

func (a *actors) free(dir string) (n uint64, err error) {
	err = a.Call(rpcName+".Free", dir, &n)
	return n, err
}

// Stage is the fleet's side, one for each process.
type Stage struct {
	ctx    context.Context // of the process
	runner *runner

	mu      sync.Mutex
	running map[uint64]context.CancelFunc
}

// Run runs a program of the host.
func (s *Stage) Run(c Call, out *Answer) error {
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	s.mu.Lock()
	s.running[c.ID] = cancel
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.running, c.ID)
		s.mu.Unlock()
	}()
	cmd := resource.Cmd{Argv: c.Argv, Env: c.Env, Line: func(l string) { out.Lines = append(out.Lines, l) }}
	if c.Stdin != nil {
		cmd.Stdin = bytes.NewReader(c.Stdin)
	}
	var err error
	if out.Result, err = s.runner.Run(ctx, cmd); err == nil {
		return nil
	}
	out.Error, err = json.Marshal(diag.From(err))
	return err
}

// Cancel ends a program.
func (s *Stage) Cancel(id uint64, _ *struct{}) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if cancel := s.running[id]; cancel != nil {
		cancel()
	}
	return nil
}

// Seen counts a request.
func (s *Stage) Seen(t wire.Type, _ *struct{}) error {
	s.runner.m.seen(s.ctx, wire.Header{Type: t}, s.runner.kill)
	return nil
}

// Facts gives the host's facts, as JSON.
func (s *Stage) Facts(root string, out *[]byte) error {
	h, err := s.runner.m.facts(s.ctx, root)
	if err != nil {
		return err
	}
	*out, err = json.Marshal(h)
	return err
}

// Free gives what the host's disk says.
func (s *Stage) Free(dir string, out *uint64) (err error) {
	*out, err = s.runner.m.free(dir)
	return err
}
