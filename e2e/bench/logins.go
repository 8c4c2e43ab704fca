package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"kforge.dev/kforge/e2e/lab/host"
	"kforge.dev/kforge/e2e/lab/proc"
)

// logins counts what sshd of each host is asked for. By default sshd logs who
// logged in, but not which sessions were started: a drop-in asks it for more.
type logins struct {
	hosts   []*host.Host
	cursors []string // places in the hosts' journals, by host
}

const (
	dropIn     = "/etc/ssh/sshd_config.d/kforge-bench.conf"
	reloadTime = 30 * time.Second
)

// watchLogins begins to count. stop must be called even after an error.
func watchLogins(ctx context.Context, hosts []*host.Host) (*logins, error) {
	l := &logins{hosts: hosts, cursors: make([]string, len(hosts))}
	return l, l.each(ctx, func(ctx context.Context, i int, h *host.Host) error {
		before, err := cursor(ctx, h)
		if err != nil {
			return err
		}
		if _, err := h.Exec(ctx, "sh", "-euc", "echo LogLevel VERBOSE >"+dropIn+"; systemctl reload ssh"); err != nil {
			return err
		}
		// A reload is done some time after it was asked for. Only a login that
		// was logged in full proves that the next one will be.
		err = proc.Until(ctx, reloadTime, "sshd on "+h.Name+" to log sessions", func(ctx context.Context) error {
			if err := login(ctx, h); err != nil {
				return err
			}
			text, err := journal(ctx, h, before)
			if err != nil {
				return err
			}
			if connections, sessions := countLogins(text); connections == 0 || sessions == 0 {
				return errors.New("it does not yet")
			}
			return nil
		})
		if err != nil {
			return err
		}
		l.cursors[i], err = cursor(ctx, h)
		return err
	})
}

// login runs a command on the host over SSH.
func login(ctx context.Context, h *host.Host) error {
	client, err := h.Dial(ctx, "root")
	if err != nil {
		return err
	}
	defer client.Close() // nothing is lost: the command's own error counts
	s, err := client.NewSession()
	if err != nil {
		return fmt.Errorf("start a session on %s: %w", h.Name, err)
	}
	if err := s.Run("true"); err != nil {
		return fmt.Errorf("run a command on %s: %w", h.Name, err)
	}
	return nil
}

// count gives the connections and the sessions since watchLogins, each of the
// host that had most of it.
func (l *logins) count(ctx context.Context) (connections, sessions int, err error) {
	texts := make([]string, len(l.hosts))
	err = l.each(ctx, func(ctx context.Context, i int, h *host.Host) (err error) {
		texts[i], err = journal(ctx, h, l.cursors[i])
		return err
	})
	if err != nil {
		return 0, 0, err
	}
	for i, text := range texts {
		c, s := countLogins(text)
		if c == 0 {
			return 0, 0, fmt.Errorf("count logins of %s: its journal tells of none", l.hosts[i].Name)
		}
		connections, sessions = max(connections, c), max(sessions, s)
	}
	return connections, sessions, nil
}

// stop lets every sshd log what it did before.
func (l *logins) stop(ctx context.Context) error {
	return l.each(ctx, func(ctx context.Context, _ int, h *host.Host) error {
		_, err := h.Exec(ctx, "sh", "-euc", "rm -f "+dropIn+"; systemctl reload ssh")
		return err
	})
}

func (l *logins) each(ctx context.Context, f func(context.Context, int, *host.Host) error) error {
	g, ctx := errgroup.WithContext(ctx)
	for i, h := range l.hosts {
		g.Go(func() error { return f(ctx, i, h) })
	}
	return g.Wait()
}

// countLogins counts in messages of an sshd with LogLevel VERBOSE, a line each.
// Forwarded connections are no sessions: they are not logged at this level.
func countLogins(text string) (connections, sessions int) {
	for line := range strings.Lines(text) {
		switch {
		case strings.HasPrefix(line, "Connection from "):
			connections++
		case strings.HasPrefix(line, "Starting session: "):
			sessions++
		}
	}
	return connections, sessions
}

// cursor is the end of what sshd of the host has said. It must be one of sshd's
// own messages: journalctl skips a message after a cursor that its filter drops.
func cursor(ctx context.Context, h *host.Host) (string, error) {
	out, err := h.Exec(ctx, "sh", "-euc", "journalctl --sync; journalctl --quiet --identifier sshd --lines 0 --show-cursor")
	if err != nil {
		return "", err
	}
	_, at, ok := strings.Cut(strings.TrimSpace(out), "-- cursor: ")
	if !ok {
		return "", fmt.Errorf("find the end of the journal of %s: no cursor in %q", h.Name, out)
	}
	return at, nil
}

// journal is what sshd of the host said after a cursor, a line each.
func journal(ctx context.Context, h *host.Host, after string) (string, error) {
	return h.Exec(ctx, "sh", "-euc", `journalctl --sync; journalctl --quiet --output cat --identifier sshd --after-cursor "$1"`, "sh", after)
}
