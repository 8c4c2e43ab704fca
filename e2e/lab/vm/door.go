package vm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"kforge.dev/kforge/e2e/lab/host"
	"kforge.dev/kforge/e2e/lab/proc"
)

// doorPort is that of the machine's second sshd, which is there for the lab alone.
const doorPort = "2222"

// Stream comes in by the door: what is done to the host's own sshd does not matter.
func (m *machine) Stream(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer, argv ...string) (err error) {
	client, err := m.host.DialPort(ctx, "root", doorPort)
	if err != nil {
		return err
	}
	defer client.Close()
	stop := context.AfterFunc(ctx, func() { client.Close() })
	defer stop()
	session, err := client.NewSession()
	if err != nil {
		return fmt.Errorf("opening a session on %s: %w", m.name, err)
	}
	defer session.Close()
	var said bytes.Buffer
	session.Stdin, session.Stdout, session.Stderr = stdin, stdout, stderr
	if stderr == nil {
		session.Stderr = &said
	}
	err = session.Run(quote(argv))
	if err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return &proc.Error{Args: append([]string{m.name + ":"}, argv...), Stderr: strings.TrimSpace(said.String()), Err: err}
	}
	return nil
}

// quote makes one line of argv for the shell at the other end.
func quote(argv []string) string {
	words := make([]string, len(argv))
	for i, a := range argv {
		words[i] = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
	}
	return strings.Join(words, " ")
}

func (m *machine) Put(ctx context.Context, files []host.File) error {
	var errs []error
	for _, f := range files {
		if strings.HasSuffix(f.Path, "/") {
			errs = append(errs, m.Stream(ctx, nil, nil, nil, "install", "-d", "-m", fmt.Sprintf("%o", f.Mode), "-o", fmt.Sprint(f.Owner), "-g", fmt.Sprint(f.Owner), f.Path))
			continue
		}
		errs = append(errs, m.Stream(ctx, bytes.NewReader(f.Content), nil, nil,
			"install", "-D", "-m", fmt.Sprintf("%o", f.Mode), "-o", fmt.Sprint(f.Owner), "-g", fmt.Sprint(f.Owner), "/dev/stdin", path.Clean(f.Path)))
	}
	return errors.Join(errs...)
}
