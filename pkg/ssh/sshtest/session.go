package sshtest

import (
	"context"
	"errors"
	"io"
	"net"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"time"

	cssh "golang.org/x/crypto/ssh"
)

// session serves one session channel: one exec or one subsystem.
func (s *Server) session(ctx context.Context, nc cssh.NewChannel) {
	ch, reqs, err := nc.Accept()
	if err != nil {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	defer ch.Close()
	started := false
	for req := range reqs {
		f := s.now()
		var payload struct{ Value string }
		ok := cssh.Unmarshal(req.Payload, &payload) == nil && !started
		switch req.Type {
		case "exec":
			ok = ok && s.opts.Handler != nil && !f.RefuseExec
			_ = req.Reply(ok, nil)
			if ok {
				started = true
				s.execs.Add(1)
				wg.Go(func() { s.exec(ctx, ch, payload.Value, f) })
			}
		case "subsystem":
			ok = ok && payload.Value == "sftp" && s.opts.Root != "" && !f.NoSFTP
			_ = req.Reply(ok, nil)
			if ok {
				started = true
				s.sftps.Add(1)
				wg.Go(func() {
					defer ch.Close()
					_, _ = io.WriteString(ch, f.Noise)
					serveSFTP(ch, s.opts.Root, f.DiskBytes)
				})
			}
		case "signal":
			cancel()
		default:
			_ = req.Reply(false, nil)
		}
	}
}

func (s *Server) exec(ctx context.Context, ch cssh.Channel, cmd string, f Faults) {
	defer ch.Close()
	_, _ = io.WriteString(ch, f.Noise)
	code := s.opts.Handler(ctx, cmd, ch, ch, ch.Stderr())
	_ = ch.CloseWrite()
	switch {
	case f.NoExitStatus:
	case code < 0:
		name := map[int]string{-9: "KILL", -15: "TERM"}[code]
		_, _ = ch.SendRequest("exit-signal", false, cssh.Marshal(struct {
			Signal     string
			CoreDumped bool
			Message    string
			Lang       string
		}{Signal: name}))
	default:
		_, _ = ch.SendRequest("exit-status", false, cssh.Marshal(struct{ Code uint32 }{uint32(code)}))
	}
}

func shell(ctx context.Context, dir string, env []string, cmd string, stdin io.Reader, stdout, stderr io.Writer) int {
	c := exec.CommandContext(ctx, "/bin/sh", "-c", cmd)
	c.Dir, c.Env, c.Stdout, c.Stderr = dir, env, stdout, stderr
	// A pipe of our own: with c.Stdin, Wait would wait for the client to close
	// its side even when the command is long over.
	in, err := c.StdinPipe()
	if err != nil {
		return 126
	}
	// sshd kills nothing when a session ends; a test must not wait, though, and
	// SIGTERM lets a script tidy up.
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	c.WaitDelay = time.Second
	if err := c.Start(); err != nil {
		return 127
	}
	go func() { // ends with the channel, which the caller closes
		_, _ = io.Copy(in, stdin)
		in.Close()
	}()
	err = c.Wait()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit) && exit.ExitCode() >= 0:
		return exit.ExitCode()
	}
	return -9
}

// tunnel serves one direct-tcpip channel.
func tunnel(ctx context.Context, nc cssh.NewChannel, f Faults, routes map[string]string) {
	var to struct {
		Host     string
		Port     uint32
		From     string
		FromPort uint32
	}
	if f.NoTunnel {
		_ = nc.Reject(cssh.Prohibited, "open failed")
		return
	}
	if err := cssh.Unmarshal(nc.ExtraData(), &to); err != nil {
		_ = nc.Reject(cssh.ConnectionFailed, err.Error())
		return
	}
	address := net.JoinHostPort(to.Host, strconv.Itoa(int(to.Port)))
	if other, ok := routes[address]; ok {
		address = other
	}
	out, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		_ = nc.Reject(cssh.ConnectionFailed, err.Error())
		return
	}
	defer out.Close()
	ch, reqs, err := nc.Accept()
	if err != nil {
		return
	}
	defer context.AfterFunc(ctx, func() { out.Close(); ch.Close() })()
	var wg sync.WaitGroup
	wg.Go(func() { cssh.DiscardRequests(reqs) })
	wg.Go(func() {
		_, _ = io.Copy(out, ch)
		out.Close()
	})
	_, _ = io.Copy(ch, out)
	ch.Close()
	wg.Wait()
}
