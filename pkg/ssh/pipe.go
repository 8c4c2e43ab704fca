package ssh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"kforge.dev/kforge/pkg/diag"
)

// Exit codes of the upload script, away from those of shells and programs.
const (
	exitShort  = 81 // the file has the wrong size
	exitDigest = 82 // the file has the wrong digest
)

// byExec sends the content through a shell on the host. A connection that
// breaks ends cat early: the size is wrong then, and the half file goes.
func (u *upload) byExec(ctx context.Context) error {
	// The shell renames by itself, so what is sent is checked before.
	dry := u.content(ctx)
	if _, err := io.Copy(io.Discard, dry); err != nil {
		return err
	}
	if err := u.verify(dry); err != nil {
		return err
	}
	_, stderr, err := u.conn.Run(ctx, "sh -c "+Quote(u.script()), u.content(ctx))
	var exit *ExitError
	if !errors.As(err, &exit) {
		return err
	}
	text := strings.ToLower(string(stderr))
	switch {
	case exit.Code == exitDigest:
		return diag.New(diag.Digest, "", "the host stored something else than sha256 %s", u.sum)
	case strings.Contains(text, "no space left"), strings.Contains(text, "quota exceeded"):
		return diag.Wrap(diag.NoSpace, "", err)
	case strings.Contains(text, "permission denied"), strings.Contains(text, "read-only file system"):
		return diag.Wrap(diag.Permission, "", err).
			WithHint("%s may not write to %s", u.conn.hop.user, path.Dir(u.name))
	case exit.Code == exitShort:
		return diag.New(diag.Transport, "", "the host stored less than %d bytes", u.size)
	}
	return err
}

// script is for a POSIX sh; the login shell may be another one.
func (u *upload) script() string {
	digest := ""
	if u.sum != "" {
		digest = fmt.Sprintf(`if command -v sha256sum >/dev/null; then case "$(sha256sum < "$t")" in %s*) ;; *) exit %d ;; esac; fi
`, u.sum, exitDigest)
	}
	return fmt.Sprintf(`t=%s
umask 077
LC_ALL=C
export LC_ALL
trap 'rm -f -- "$t"' EXIT
trap 'exit 1' HUP INT TERM
mkdir -p -- %s && cat > "$t" || exit 1
[ "$(wc -c < "$t")" -eq %d ] || exit %d
%schmod %o "$t" && mv -f -- "$t" %s`,
		Quote(u.temp), Quote(path.Dir(u.name)), u.size, exitShort, digest, u.mode, Quote(u.name))
}
